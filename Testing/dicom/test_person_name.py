import pytest

from NativeDLLib.core.errors import UsageError
from NativeDLLib.dicom.provenance import person_name


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Doe^Jane", "Doe^Jane"),
        ("Doe^Jane^Mary^Dr.^MD", "Doe^Jane^Mary^Dr.^MD"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("Jane", "Jane"),
        ("Jane Doe", "Doe^Jane"),
        ("  Dr.  Jane   Doe ", "Doe^Jane^^Dr."),
        ("Prof. Dr. med. Jörg Müller", "Müller^Jörg^^Prof. Dr. med."),
        ("J. R. Smith", "Smith^J.^R."),
        ("Dr Jane Mary Doe", "Doe^Jane^Mary^Dr"),
        ("Dr. Doe", "Doe^^^Dr."),
        ("Doe, Jane", "Doe^Jane"),
        ("van der Berg, Dr. Jan Piet", "van der Berg^Jan^Piet^Dr."),
        ("Jan van der Berg", "van der Berg^Jan"),
        ("Jane Doe, MD PhD", "Doe^Jane^^^MD PhD"),
        ("Dr. Jane Doe, M.D.", "Doe^Jane^^Dr.^M.D."),
    ],
)
def test_a_name_as_people_write_it_becomes_a_person_name(written, stored):
    assert person_name(written) == stored


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", "is empty"),
        (" ^^ ", "is empty"),
        ("Doe\\Jane", "neither backslashes nor control"),
        ("Doe\x07Jane", "neither backslashes nor control"),
        ("a^b^c^d^e^f", "at most 5 parts"),
        ("a=b=c=d", "at most 5 parts"),
        ("x" * 65, "at most 64 characters"),
        ("Jane " + "x" * 60, "at most 64 characters"),
    ],
)
def test_what_no_name_can_be_is_refused_without_repeating_it(written, message):
    with pytest.raises(UsageError, match=message) as error:
        person_name(written)

    assert "x" * 10 not in str(error.value)
    assert "Jane " not in str(error.value).removesuffix("write Doe^Jane or Jane Doe")
