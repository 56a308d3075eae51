import pytest

from rbc import RbcError, paper


def test_the_grid_is_the_cells_of_tables_3_and_4():
    """Thirty-two configurations, no more, no less."""
    cells = paper.grid()
    assert len({c.path for c in cells}) == 32
    for stage in paper.STAGES:
        printed = paper.reported(f"table{stage + 2}")
        ours = {(c.model, c.sampling, c.k) for c in cells if c.stage == stage}
        assert ours == set(printed[["model", "sampling", "k"]].itertuples(index=False, name=None))


def test_seeds_multiply_the_grid():
    """Each seed is the whole grid again."""
    assert len({c.path for c in paper.grid(seeds=(0, 1, 2))}) == 96


def test_table_2_counts_all_sequences_of_the_record():
    """The printed total is that of the record."""
    assert paper.reported("table2").set_index("label").to_numpy().sum() == 146_499


@pytest.mark.parametrize(
    "wrong", [(3, "cnn", "uniform", 10), (1, "vgg", "uniform", 10), (1, "cnn", "uniform", 11)]
)
def test_a_configuration_outside_the_grid_is_an_error(wrong):
    """K = 15 is no cell of the tables."""
    with pytest.raises(RbcError, match="choose one of"):
        paper.Configuration(*wrong)


def test_an_unknown_table_is_an_error():
    """A misspelt table must not be an empty one."""
    with pytest.raises(RbcError, match="no such table"):
        paper.reported("table9")
