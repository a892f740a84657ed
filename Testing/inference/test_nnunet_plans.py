"""Names in nnU-Net's plans: looked up in lists, never walked along, whoever reads the plans."""

import copy
import json
import pydoc

import factories
import own_models
import pytest
from remote_model import RESULTS, packed
from tools import nativedl

from NativeDLLib.core.errors import ModelError

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")
import nnunet_folder  # noqa: E402  (imports nnunetv2)

from NativeDLLib.inference.nnunet_files import check_configuration, make_unet, read_plans  # noqa: E402

pytestmark = pytest.mark.slow

PLANS = "nnUNetTrainer__nnUNetPlans__3d_fullres"
UNETS = "dynamic_network_architectures.architectures.unet"


@pytest.fixture
def refuse_walks(monkeypatch):
    """Let nobody walk along a name from now on."""

    def locate(name, *_):
        pytest.fail(f"pydoc.locate was asked for {name}")

    return lambda: monkeypatch.setattr(pydoc, "locate", locate)


def configuration(**arguments):
    """Return a configuration that is right but for some arguments of the network."""
    settings = nnunet_folder.plain_unet([2, 4], [[1] * 3, [2] * 3], [[3] * 3] * 2)
    settings["arch_kwargs"] |= arguments
    return copy.deepcopy(nnunet_folder._configuration(False, settings))


def refusal(tmp_path, changed):
    with pytest.raises(ModelError) as caught:
        check_configuration(tmp_path, changed)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_plans_as_nnunet_writes_them_are_taken(tmp_path, refuse_walks):
    refuse_walks()
    check_configuration(tmp_path, configuration())

    network = make_unet(tmp_path, configuration()["architecture"], 3)

    assert type(network).__name__ == "PlainConvUNet"
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("nonlin", "torch.nn.modules.module.torch.os.system"),
        ("nonlin", "torch.nn.functional.torch.hub.load"),
        ("nonlin", "torch.nn.os.ReLU"),
        ("nonlin", "os.ReLU"),
        ("nonlin", "ReLU"),
        ("nonlin", "torch.nn.Module"),
        ("nonlin", "torch.nn.ModuleList"),
        ("nonlin", "torch.nn.modules.conv.ReLU"),
        ("nonlin", "torch.nn.modules.activation.torch.nn.ReLU"),
        ("nonlin", "torch.nn.ReLU\n"),
        ("nonlin", ["torch.nn.ReLU"]),
        ("conv_op", "torch.nn.modules.conv.init.torch.load"),
        ("conv_op", "torch.nn.ReLU"),
        ("norm_op", "torch.nn.parallel.DataParallel"),
        ("dropout_op", "subprocess.Popen"),
        ("block", "dynamic_network_architectures.building_blocks.residual.nn.Module"),
        ("block", "os.system"),
    ],
)
def test_a_name_that_is_no_layer_of_its_kind_is_refused(tmp_path, key, name):
    assert str(key) in refusal(tmp_path, configuration(**{key: name}))


@pytest.mark.parametrize(
    "name",
    [
        *("pydicom", "os.system", "unet", "NativeDLLib.PlainConvUNet", f"{UNETS}.torch.hub.load", f"{UNETS}.nn.Module"),
        *(f"{UNETS}.test_submodules_loadable", "dynamic_network_architectures.architectures.vgg.VGG16", "", None, 1),
    ],
)
def test_a_network_that_is_none_of_nnunets_is_refused(tmp_path, name):
    changed = configuration()
    changed["architecture"]["network_class_name"] = name

    assert "network" in refusal(tmp_path, changed)


@pytest.mark.parametrize("place", ["", f"{UNETS}.", f"{UNETS.replace('unet', 'plain_unet')}."])
def test_the_module_that_nnunet_once_had_a_network_in_does_not_matter(tmp_path, place):
    changed = configuration()
    changed["architecture"]["network_class_name"] = f"{place}PlainConvUNet"

    check_configuration(tmp_path, changed)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("preprocessor_name", "multiprocessing"),
        ("preprocessor_name", "Pool"),
        ("normalization_schemes", ["np"]),
        ("normalization_schemes", ["ABC"]),
        ("resampling_fn_data", "load_pickle"),
        ("resampling_fn_seg", "nnunetv2"),
        ("resampling_fn_probabilities", "recursive_find_python_class"),
        ("resampling_fn_data_kwargs", {"device": "cuda"}),
        ("resampling_fn_data_kwargs", {"folder": "/tmp"}),
        ("resampling_fn_data_kwargs", {"order": 10**9}),
        ("spacing", ["1", "1", "1"]),
        ("patch_size", [10**9] * 3),
    ],
)
def test_other_names_and_settings_are_those_of_lists_too(tmp_path, place, value):
    assert place in refusal(tmp_path, configuration() | {place: value})


@pytest.mark.parametrize(
    "arguments",
    [
        {"nonlin_kwargs": {"command": "touch x"}},
        {"nonlin_kwargs": {"inplace": {"a": 1}}},
        {"norm_op_kwargs": {"device": "cuda"}},
        {"n_stages": "os"},
        {"n_stages": 10**6},
        {"n_conv_per_stage": [1000, 1000]},
        {"features_per_stage": [60000, 60000]},
        {"kernel_sizes": [[10**5] * 3] * 2},
        {"forward": "os.system"},
        {"initialize": 1},
        {"conv_op": None},
    ],
)
def test_arguments_are_numbers_of_the_size_that_networks_have(tmp_path, arguments):
    refusal(tmp_path, configuration(**arguments))


def test_every_name_that_is_taken_is_a_layer_of_torch_of_its_kind(tmp_path):
    packages = {"torch.nn": vars(torch.nn)} | {
        f"torch.nn.modules.{name}": vars(module)
        for name, module in vars(torch.nn.modules).items()
        if hasattr(module, "__spec__")
    }
    names = [f"{place}.{name}" for place, content in packages.items() for name in content]
    taken = []
    for name in names:
        try:
            check_configuration(tmp_path, configuration(nonlin=name))
        except ModelError:
            continue
        taken.append(name)

    assert len(names) > 500
    assert "torch.nn.modules.activation.LeakyReLU" in taken
    kinds = {name: getattr(torch.nn, name.rpartition(".")[2]) for name in taken}
    assert all(issubclass(kind, torch.nn.Module) and not list(kind().children()) for kind in kinds.values())
    assert all(
        name in (f"torch.nn.{kind.__name__}", f"{kind.__module__}.{kind.__name__}") for name, kind in kinds.items()
    )


@pytest.mark.parametrize(
    ("plans", "place"),
    [
        ({"label_manager": "ThreadPool"}, "label_manager"),
        ({"transpose_forward": [0, 1, 7]}, "transpose_forward"),
        ({"configurations": {"3d_fullres": {"n_conv_per_stage_encoder": [1] * 10**5}}}, "n_conv_per_stage_encoder"),
        ({"configurations": {"3d_fullres": {"UNet_class_name": "os"}}}, "UNet_class_name"),
        ("/etc/passwd", "plans"),
    ],
)
def test_plans_of_which_a_part_is_wrong_are_refused_before_nnunet_sees_them(tmp_path, plans, place):
    folder = nnunet_folder.write(tmp_path / "results")
    content = json.loads((folder / "plans.json").read_text())
    (folder / "plans.json").write_text(json.dumps(plans if isinstance(plans, str) else content | plans))

    with pytest.raises(ModelError, match=place):
        read_plans(folder, lambda name: (folder / name).read_bytes())


def attack(folder, way):
    """Write plans into a folder that call a program or import from the folder that is worked in."""
    marker = folder.parent / "ran"
    command = {"nonlin": "torch.nn.modules.module.torch.os.system", "nonlin_kwargs": {"command": f"touch {marker}"}}

    def change(plans):
        architecture = plans["configurations"]["3d_fullres"]["architecture"]
        if way == "layer":
            architecture["arch_kwargs"] |= command
        else:
            architecture["network_class_name"] = "module_of_a_stranger"

    nnunet_folder.write(folder, change_plans=change)
    return marker


def entry(**weights):
    made = factories.entry(
        id="remote", runtime="nnunetv2", weights=weights, input={"modality": "CT", "channels": [{"name": "CT"}]},
        sliding_window={}, postprocessing=[], parameters=[],
    )  # fmt: skip
    made["output"].pop("channels")
    return made


def add(folder, tmp_path):
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(own_models.TWO_LABELS))
    return nativedl("models", "add", folder, "--answers", answers)


def fetch(folder, tmp_path):
    archive = tmp_path / "model.zip"
    archive.write_bytes(packed(folder.parents[1]))
    registry = factories.registry(tmp_path / "registry", entry(folder=RESULTS, url="https://example.org/model.zip"))
    return nativedl("models", "fetch", "remote", "--from-file", archive, "--yes", registry=registry)


def run(folder, tmp_path):
    registry = factories.registry(folder.parents[1], entry(folder=RESULTS))
    factories.ct_series(tmp_path / "series")
    return nativedl(
        "run", "--input", tmp_path / "series", "--model", "remote", "--output", tmp_path / "out", registry=registry
    )


@pytest.mark.parametrize("through", [add, fetch, run], ids=["models add", "models fetch", "run"])
@pytest.mark.parametrize("way", ["layer", "network"])
def test_plans_of_a_stranger_run_nothing(tmp_path, monkeypatch, capsys, refuse_walks, way, through):
    monkeypatch.setenv("NATIVEDL_MODELS", str(tmp_path / "cache"))
    folder = tmp_path / "models" / RESULTS
    marker = attack(folder, way)
    (tmp_path / "module_of_a_stranger.py").write_text(f"open({str(marker)!r}, 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))
    refuse_walks()

    assert through(folder, tmp_path) == 4

    error = capsys.readouterr().err
    assert PLANS in error
    assert {"layer": "nonlin_kwargs", "network": "is not imported"}[way] in error
    assert not marker.exists()
    assert not (tmp_path / "out").exists()
