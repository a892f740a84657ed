"""The panel's tables at the width of Slicer's module panel: what tells series apart is read, and nothing swings."""

import factories
import pytest

from Testing.slicer import panel as panels
from Testing.slicer.standin.session import Resizes

NARROW = 444
DESCRIPTION = 2


@pytest.fixture
def scroll(slicer_app, bright, tmp_path):
    """The panel in a scroll area, as Slicer holds it, with the series of a patient with a long name in its list."""
    import qt

    for number, name in enumerate(("Portal venous 1.5 mm soft tissue", "Arterial 1.5 mm")):

        def edit(dataset, _, name=name):
            dataset.PatientName = "Featherstonehaugh-Cholmondeley^Maximilian Alexander"
            dataset.SeriesDescription = name

        panels.add(slicer_app, factories.ct_series(tmp_path / f"long{number}", edit=edit))
    area = qt.QScrollArea()
    area.widgetResizable = True
    area.setWidget(bright.widget.parent)
    area.resize(NARROW, 700)
    area.show()
    bright.choose_series("portal")
    return area


@pytest.fixture(params=[9, 12], ids=["9pt", "12pt"])
def font(request, slicer_app):
    """The application's font in one of the sizes that people choose."""
    import qt

    font = qt.QFont(slicer_app.slicer.app.font())
    before = qt.QFont(font)
    font.setPointSize(request.param)
    slicer_app.slicer.app.setFont(font)
    yield
    slicer_app.slicer.app.setFont(before)


def test_the_column_that_tells_series_apart_is_the_widest_and_shows_all_of_its_text(font, scroll, bright):
    tree = bright.ui.seriesTree
    texts = [tree.topLevelItem(row).text(DESCRIPTION) for row in range(tree.topLevelItemCount)]
    longest = max(tree.fontMetrics().horizontalAdvance(text) for text in texts)
    widths = [tree.columnWidth(column) for column in range(tree.columnCount)]

    assert "Portal venous 1.5 mm soft tissue" in texts
    assert widths[DESCRIPTION] == max(widths)
    assert widths[DESCRIPTION] > longest
    dates = [tree.topLevelItem(row).text(1) for row in range(tree.topLevelItemCount)]
    assert widths[1] > max(tree.fontMetrics().horizontalAdvance(text) for text in dates)
    name = tree.topLevelItem(0).text(0)
    assert tree.topLevelItem(0).toolTip(0) == name


def test_the_volume_of_a_segment_keeps_its_sign(font, scroll, bright):
    bright.run()
    table = bright.ui.segmentTable
    table.item(0, 1).setText("1703.7 mL ⚠")
    bright.app.process_events()

    assert table.columnWidth(1) > table.fontMetrics().horizontalAdvance("1703.7 mL ⚠")
    assert table.columnWidth(2) >= table.cellWidget(0, 2).sizeHint.width()


def test_a_label_that_comes_and_goes_makes_no_width_swing(scroll, bright):
    bright.run()
    bright.ui.regionsSection.collapsed = False
    resized = Resizes(bright.widget.parent, bright.ui.segmentTable, bright.ui.regionTable, bright.ui.seriesTree)
    counts = []
    for width in (360, NARROW):
        for height in range(1300, 1600, 20):
            scroll.resize(width, height)
            for text in ("", "A finding that is long enough for several lines. " * 4):
                bright.app.process_events()
                resized.counts.clear()
                bright.ui.reviewWarning.text, bright.ui.reviewWarning.visible = text, bool(text)
                for _ in range(20):
                    bright.app.process_events()
                counts += resized.counts.values()

    # The page scrolls at the lower heights and not at the higher ones.
    assert 0 < max(counts) <= 4
