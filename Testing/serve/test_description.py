"""The OpenAPI description is true: schemathesis sends what it allows and what it does not, and judges every answer."""

import subprocess
import sys
from pathlib import Path

from servers import wait_until

# Made up for each operation, beside what the description itself has as examples and at its borders.
EXAMPLES = 4
# What a description can say of the body of a prediction is that it holds files, not that they are a whole CT series.
CONFIGURATION = """
[[operations]]
include-path = "/predict"
checks.positive_data_acceptance.enabled = false
"""


def test_no_request_gets_an_answer_that_the_description_does_not_allow(serve, tokens, token, tmp_path):
    service = serve("--token-file", tokens, "--jobs", 2)
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    command = [Path(sys.executable).parent / "schemathesis", "run", f"{service.url}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {token}", "--phases", "examples,coverage,fuzzing", "--no-shrink"]
    command += ["--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none", "--no-color"]

    finished = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert finished.returncode == 0, finished.stdout
    answered = service.reported("request")
    assert len(answered) > 200
    assert {row["status"] for row in answered if row["status"] >= 500} <= {503}
    assert service.reported("failure") == []
    wait_until(lambda: not service.leftovers(), "nothing is left")


def test_the_description_names_every_status_and_the_schema_of_every_error(service):
    description = service.get("/openapi.json").json()

    assert description["openapi"].startswith("3.1")
    for path, operations in description["paths"].items():
        for operation in operations.values():
            errors = {status: row for status, row in operation["responses"].items() if status >= "400"}
            assert {"401", "403", "500"} <= errors.keys(), path
            for row in errors.values():
                (schema,) = (content["schema"] for content in row["content"].values())
                assert schema == {"$ref": "#/components/schemas/Problem"}
    predict = description["paths"]["/predict"]["post"]
    assert set(predict["responses"]["200"]["content"]) == {"application/dicom", "application/json", "application/zip"}
    assert set(predict["requestBody"]["content"]) == {
        'multipart/related; type="application/dicom"',
        "multipart/form-data",
    }
