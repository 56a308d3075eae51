import pytest
import yaml

from compendium import ROOT, profiles
from rbc import RbcError, simulate
from rbc.settings import VARIANTS, settings

NAMES = sorted(p.stem for p in (ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_loads_and_its_header_says_how_to_run_it(name):
    """A profile that nobody can run is no profile."""
    assert profiles.load(name).name == name
    header = (ROOT / "config" / f"{name}.yaml").read_text(encoding="utf-8").split("title:")[0]
    assert "Command:" in header and "Hardware:" in header


def test_the_demo_runs_all_32_configurations():
    """The demo must be the whole grid of Tables 3 and 4."""
    assert len(profiles.load("demo").configurations()) == 32


def changed(tmp_path, change) -> str:
    content = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"))
    change(content)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("training.epoch", lambda p: p["training"].update(epoch=3)),
        ("training.epochs", lambda p: p["training"].update(epochs="many")),
        ("training.epochs", lambda p: p["training"].update(epochs=0)),
        ("stages.1.ks.0", lambda p: p["stages"][1].update(ks=[11])),
        ("title", lambda p: p.pop("title")),
        ("data.source", lambda p: p["data"].update(source="web")),
        ("seeds", lambda p: p.update(seeds=[])),
    ],
)
def test_an_unknown_or_wrong_key_is_an_error_that_names_it(tmp_path, key, change):
    """A key that is passed over would change an experiment in silence."""
    with pytest.raises(RbcError, match=f"key {key}") as error:
        profiles.load(changed(tmp_path, change))
    assert "mine.yaml" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_profile_names_those_there_are():
    """The reader must see what to choose from."""
    with pytest.raises(
        RbcError, match="demo, duel, headline, ours, paper, register, rehearsal, released"
    ):
        profiles.load("dmeo")


def test_released_folds_keep_acquisitions_apart():
    """Cells of one movie in two splits would leak."""
    for stage in profiles.load("released").stages.values():
        for fold in stage.folds:
            assert not set(fold.train) & set(fold.validation) | set(fold.train) & set(fold.test)
            assert not set(fold.validation) & set(fold.test)


def test_released_stage_1_tests_every_acquisition_once_and_stage_2_splits_as_the_paper():
    """Every test cell counts once."""
    stages = profiles.load("released").stages
    tested = [a for fold in stages[1].folds for a in fold.test]
    assert len(tested) == len(set(tested)) == 6
    (fold,) = stages[2].folds
    assert (len(fold.train), len(fold.validation)) == (19, 4)
    assert sorted(a[:2] for a in fold.validation) == ["BG", "BK", "BK", "BK"]


def test_a_profile_that_extends_another_says_only_what_differs():
    """A copy of all keys would drift from its base."""
    register, released = profiles.load("register"), profiles.load("released")
    assert register.stages[1].folds == released.stages[1].folds
    assert register.training.epochs == released.training.epochs
    assert register.training.lr_finder_batches == 0 != released.training.lr_finder_batches
    variants = {c.variant for c in register.configurations()}
    details = {name for name, v in VARIANTS.items() if v.detail}
    assert variants == {"text", *details}  # every open detail that can be switched is measured


def test_the_headline_trains_the_two_chosen_models_as_the_paper_profile_does():
    """A night's run on a laptop must be the paper's own cells, not a lighter copy of them."""
    headline, paper = profiles.load("headline"), profiles.load("paper")
    chosen = {(c.stage, c.model, c.sampling, c.k) for c in headline.configurations()}
    assert chosen == {(1, "crnn", "uniform", 50), (2, "cnn", "similarity", 20)}
    same = headline.training.model_copy(update={"lr_finder_batches": 100})
    assert same == paper.training and headline.data == paper.data
    epochs = {
        settings(headline.training_of(c), c).epochs
        for c in headline.configurations()
        if c.model == "cnn"
    }
    assert epochs == {20, 40}


def test_a_variant_that_changes_nothing_is_an_error(tmp_path):
    """Its run would be the text's own under another name."""
    cell = {"model": "cnn", "sampling": "uniform", "k": 10, "variants": ["crnn-released-masked"]}
    with pytest.raises(RbcError, match="crnn-released-masked changes nothing for cnn"):
        profiles.load(changed(tmp_path, lambda p: p["stages"][1].update(cells=[cell])))


@pytest.mark.parametrize(
    ("values", "said"),
    [({"gian": 1.0}, "gian is none of gain"), ({"gain": [1.0, 2.0]}, "gain takes 1 numbers, not 2"),
     ({"crowd": 0.0}, "crowd takes 2 numbers, not 1"), ({"crowd": [0.0, 0.0, 1.0]}, "crowd takes 2"
         " numbers, not 3")],
)  # fmt: skip
def test_ranges_of_simulated_cells_that_are_none_are_named(values, said):
    """A misspelt range would leave the default in silence."""
    with pytest.raises(RbcError, match=said):
        simulate.ranges_of(values)
    assert simulate.other_ranges(simulate.ranges_of({"crowd": [0.0, 0.0]})) == {"crowd": [0.0, 0.0]}
