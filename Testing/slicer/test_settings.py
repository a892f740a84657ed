"""Models, devices and settings: what is offered, what reaches the model, what is saved and loaded."""

import json

import factories
import pytest

from Testing.slicer import panel as panels

KINDS = [
    {"name": "fine", "type": "boolean", "default": False, "label": "Fine", "help": "Slower."},
    {
        "name": "passes",
        "type": "integer",
        "default": 2,
        "minimum": 1,
        "maximum": 9,
        "label": "Passes",
        "help": "How often.",
    },
    {"name": "mode", "type": "choice", "default": "soft", "choices": ["soft", "hard"], "label": "Mode", "help": "How."},
]


@pytest.fixture
def panel(slicer_app, tmp_path, monkeypatch):
    """The panel with a model of every kind of setting, and one that is for MR."""
    weights = factories.threshold_onnx(tmp_path / "bright.onnx", 1.5)
    (tmp_path / "card.md").write_text("# Bright\n")
    file = {"file": weights.name, "sha256": factories.digest(weights)}
    entry = factories.entry(weights=file, card="card.md")
    entry["parameters"] += KINDS
    head = factories.entry(id="head", title="Head", weights=file)
    head["input"] |= {"modality": "MR", "body_parts": ["HEAD"], "keywords": ["head"]}
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(factories.registry(tmp_path, head, entry)))
    panels.add(slicer_app, factories.ct_series(tmp_path / "series"))
    panel = panels.Panel(slicer_app)
    panel.choose_series("bright")
    return panel


def values(panel):
    return panel.widget.model.configuration["parameters"]


DEFAULTS = {"step": 0.5, "min_volume": 0.05, "fine": False, "passes": 2, "mode": "soft"}


def test_models_that_fit_come_first_with_their_reasons_cost_and_card(slicer_app, panel):
    box = panel.ui.modelBox
    titles = [box.itemText(index) for index in range(box.count)]
    assert titles[0] == "Bright block"
    assert "Head (not sure to fit)" in titles[1:]
    assert panel.ui.modelReason.text.startswith("Fits: ")
    assert "ABDOMEN" in panel.ui.modelReason.text
    assert "What it takes is known after its first run" in panel.ui.modelReason.text
    slicer_app.wait_until(lambda: panel.ui.deviceBox.count > 1, 60, "the devices")
    devices = [panel.ui.deviceBox.itemData(index) for index in range(panel.ui.deviceBox.count)]
    assert devices[:2] == ["auto", "cpu"]
    panel.ui.cardButton.click()
    assert slicer_app.popups.opened == [(slicer_app.folder / "card.md").as_uri()]

    panel.choose_model("head")
    assert "May not fit: " in panel.ui.modelReason.text
    assert not panel.ui.cardButton.enabled

    panel.choose_model("bright")
    panel.run()
    panel.widget.source.look()
    panel.settle()
    assert "Takes about " in panel.ui.modelReason.text
    assert " GB of memory" in panel.ui.modelReason.text


def test_a_model_that_is_yet_to_be_fetched_says_so_and_names_no_command(panel):
    titles = [panel.ui.modelBox.itemText(index) for index in range(panel.ui.modelBox.count)]

    panel.choose_model("totalsegmentator-liver")

    assert "Liver on CT (TotalSegmentator, 1.5 mm) (to be fetched)" in titles[1:]
    assert panel.ui.modelReason.text.startswith("Cannot run yet: ")
    assert "its weights are to be fetched first" in panel.ui.modelReason.text
    assert "nativedl " not in panel.ui.modelReason.text
    assert not panel.ui.runButton.enabled


def test_settings_have_their_widgets_and_reach_the_model(panel):
    step, smallest, fine, passes, mode = panel.settings().values()
    assert list(panel.settings()) == ["Step", "Smallest part", "Fine", "Passes", "Mode"]
    assert [w.metaObject().className() for w in (step, fine, passes, mode)] == [
        "QDoubleSpinBox",
        "QCheckBox",
        "QSpinBox",
        "QComboBox",
    ]
    assert values(panel) == DEFAULTS
    assert (step.minimum, step.maximum, passes.minimum, passes.maximum) == (0.25, 1.0, 1, 9)
    assert (smallest.suffix, fine.toolTip) == (" mL", "Slower.")

    step.value, smallest.value, fine.checked, passes.value, mode.currentText = 0.75, 900.0, True, 5, "hard"
    panel.app.wait_until(lambda: panel.ui.deviceBox.count > 1, 60, "the devices")
    panel.ui.deviceBox.currentIndex = panel.ui.deviceBox.findData("cpu")
    panel.run()
    report = panel.report()
    assert report["parameters"] == {"step": 0.75, "min_volume": 900.0, "fine": True, "passes": 5, "mode": "hard"}
    assert report["outcome"] == "empty"
    panel.ui.defaultsButton.click()
    assert values(panel) == DEFAULTS


def test_settings_are_saved_and_loaded_and_a_wrong_file_changes_nothing(slicer_app, panel, tmp_path):
    file = tmp_path / "mine.json"
    panel.choose_model("head")
    panel.settings()["Step"].value = 0.3
    slicer_app.popups.expect("Save settings", str(file))
    panel.ui.saveConfigButton.click()
    panel.choose_model("bright")
    assert values(panel) == DEFAULTS
    slicer_app.popups.expect("Load settings", str(file))
    panel.ui.loadConfigButton.click()
    assert panel.widget.model.configuration == {
        "model": "head",
        "device": "auto",
        "parameters": {"step": 0.3, "min_volume": 0.05},
    }
    # What was loaded is of that model alone.
    panel.choose_model("bright")
    assert values(panel)["step"] == 0.5
    slicer_app.popups.expect("Load settings", "")
    panel.ui.loadConfigButton.click()

    for text, complaint in (
        ("{", "mine.json"),
        ('{"sharpness": 1}', "'sharpness' is not known"),
        ('{"model": "knee"}', "model 'knee' is not in the registry; there are bright"),
        ('{"parameters": {"step": 7}}', "parameter step: 7 is not within 0.25 to 1"),
        ('{"parameters": {"step": "many"}}', "parameter step: 'many' is not a number"),
        ('{"parameters": {"color": 1}}', "model bright has no parameter 'color'"),
    ):
        file.write_text(text)
        slicer_app.popups.expect("Load settings", str(file))
        slicer_app.popups.expect(complaint, None)
        panel.ui.loadConfigButton.click()
        assert len(slicer_app.popups.shown[-1].text.strip().splitlines()) <= 3
        assert panel.widget.model.configuration["model"] == "bright"
        assert values(panel) == DEFAULTS
    file.write_text(json.dumps({"parameters": {"passes": 3}}))
    slicer_app.popups.expect("Load settings", str(file))
    panel.ui.loadConfigButton.click()
    assert values(panel) == DEFAULTS | {"passes": 3}
    panel.ui.defaultsButton.click()
    panel.widget.source.look()
    panel.settle()
    assert values(panel) == DEFAULTS


def test_a_folder_that_cannot_be_written_is_said_when_settings_are_saved(slicer_app, panel, tmp_path):
    (tmp_path / "file").write_text("")
    slicer_app.popups.expect("Save settings", str(tmp_path / "file" / "mine.json"))
    slicer_app.popups.expect("The settings could not be saved.", None)
    panel.ui.saveConfigButton.click()
