"""How a linkage model is trained, outside the server and before it is put into a definition; a run never trains."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import duckdb
import polars as pl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink.internals.comparison_creator import ComparisonCreator

PLACE = "_place"


def train(
    left: pl.DataFrame,
    right: pl.DataFrame,
    *,
    comparisons: Sequence[ComparisonCreator],
    blocking: Sequence[Any],
    certain: Sequence[Any],
    recall: float,
    em_blocks: Sequence[Sequence[str]],
) -> tuple[str, Linker]:
    """The trained model as Splink's JSON, and the linker that trained it. Both frames have `_place`.

    `certain` are rules that find true pairs only, of which they find the share `recall`.
    """
    logging.getLogger("splink").setLevel(logging.ERROR)
    connection = duckdb.connect(":memory:")
    connection.execute("SET enable_progress_bar = false")
    api = DuckDBAPI(connection=connection)
    tables = [
        api.register(frame.to_arrow(), dataset_display_name=name)
        for name, frame in (("a_theirs", left), ("b_ours", right))
    ]
    settings = SettingsCreator(
        link_type="link_only",
        unique_id_column_name=PLACE,
        comparisons=list(comparisons),
        blocking_rules_to_generate_predictions=list(blocking),
    )
    linker = Linker(tables, settings, log_level=None)
    linker.training.estimate_probability_two_random_records_match(list(certain), recall=recall)
    linker.training.estimate_u_using_random_sampling(max_pairs=2_000_000, seed=1)
    for columns in em_blocks:
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*columns))
    return json.dumps(linker.misc.save_model_to_json()), linker
