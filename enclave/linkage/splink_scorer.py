"""The third pass by Splink over DuckDB: in memory, without a file, a network or an extension; never trained here.

Splink and DuckDB come with the extra `linkage` and are loaded only where a definition asks for them.
"""

import json
import logging
from typing import Any

import duckdb
import polars as pl
from splink import DuckDBAPI, Linker

from enclave.linkage.probable import PLACE

logging.getLogger("splink").setLevel(logging.ERROR)  # its warnings may quote the settings; nothing of a row
NOTHING_ON_DISK = (
    "temp_directory = ''",
    "max_temp_directory_size = '0KB'",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "enable_progress_bar = false",
    "threads = 2",
    "enable_external_access = false",
    "lock_configuration = true",
)
"""In this order: what forbids changing a setting comes after what changes it."""
_THEIRS, _OURS = "a_theirs", "b_ours"  # Splink calls left what comes first by name


class SplinkScorer:
    """One trained model; its JSON is what Splink saved."""

    def __init__(self, model: str) -> None:
        settings = json.loads(model)
        settings |= {
            "unique_id_column_name": PLACE,
            "source_dataset_column_name": "source_dataset",
            "retain_intermediate_calculation_columns": False,
            "retain_matching_columns": True,  # with them come the levels of agreement; nothing leaves memory
            "additional_columns_to_retain": [],
        }
        self._settings: dict[str, Any] = settings
        self._words = {
            comparison["output_column_name"]: [
                str(level.get("label_for_charts", level["sql_condition"])) for level in comparison["comparison_levels"]
            ]
            for comparison in settings["comparisons"]
        }
        self._nulls = {
            comparison["output_column_name"]: [
                bool(level.get("is_null_level", False)) for level in comparison["comparison_levels"]
            ]
            for comparison in settings["comparisons"]
        }

        self._weighed_by_rarity = sorted(
            {
                str(level["tf_adjustment_column"])
                for comparison in settings["comparisons"]
                for level in comparison["comparison_levels"]
                if level.get("tf_adjustment_column")
            }
        )

    def count_pairs(self, theirs: pl.DataFrame, ours: pl.DataFrame) -> int:
        """How many pairs the blocking rules let through, rule by rule; a pair of two rules counts twice."""
        with _connected(theirs, ours) as connection:
            return sum(
                int(_one(connection, f"SELECT count(*) FROM {_THEIRS} l, {_OURS} r WHERE {rule}"))  # noqa: S608  the approved model's own SQL
                for rule in self._rules()
            )

    def count_compared(self, theirs: pl.DataFrame, ours: pl.DataFrame) -> int:
        """How many of the pairs with the same `_place` a blocking rule lets through."""
        some = " OR ".join(f"({rule})" for rule in self._rules())
        pairs = f"{_THEIRS} l JOIN {_OURS} r USING ({PLACE})"
        with _connected(theirs, ours) as connection:
            return _one(connection, f"SELECT count(*) FROM {pairs} WHERE {some}")  # noqa: S608  the approved model's own SQL

    def score(self, theirs: pl.DataFrame, ours: pl.DataFrame, above: float) -> pl.DataFrame:
        """`theirs`, `ours`, `weight`, `probability`, `kind` of the pairs at least so probable, in no order."""
        with _connected(theirs, ours) as connection:
            api = DuckDBAPI(connection=connection)
            tables = [api.register(name, dataset_display_name=name) for name in (_THEIRS, _OURS)]
            linker = Linker(tables, self._settings, log_level=None)
            self._weigh_rarity(connection, api, linker)
            scored = linker.inference.predict(threshold_match_probability=above, warning_mode="never")
            frame = pl.DataFrame(connection.sql(f"SELECT * FROM {scored.physical_name}").to_arrow_table())  # noqa: S608
        frame = _theirs_left(frame)
        kinds = [self._kind(name, frame[f"gamma_{name}"]) for name in sorted(self._words)]
        return frame.select(
            theirs=pl.col(f"{PLACE}_l").cast(pl.UInt32),
            ours=pl.col(f"{PLACE}_r").cast(pl.UInt32),
            weight=pl.col("match_weight").cast(pl.Float64),
            probability=pl.col("match_probability").cast(pl.Float64),
            kind=pl.concat_str(kinds, separator="; "),
        )

    def _weigh_rarity(self, connection: duckdb.DuckDBPyConnection, api: DuckDBAPI, linker: Linker) -> None:
        """How rare a value is, as among our people: whom a loan holds besides changes no weight."""
        for column in self._weighed_by_rarity:
            connection.execute(
                f"CREATE TABLE rarity_{column} AS SELECT {column}, count(*) / sum(count(*)) OVER () AS tf_{column} "  # noqa: S608
                f"FROM {_OURS} WHERE {column} IS NOT NULL GROUP BY {column}"
            )
            linker.table_management.register_term_frequency_lookup(api.register(f"rarity_{column}"), column)

    def _rules(self) -> list[str]:
        rules = self._settings["blocking_rules_to_generate_predictions"]
        return [rule["blocking_rule"] if isinstance(rule, dict) else str(rule) for rule in rules]

    def _kind(self, name: str, gamma: pl.Series) -> pl.Series:
        """In words, how well a column agrees: levels are written from the best to the worst, `gamma` counts upwards."""
        words, nulls = self._words[name], self._nulls[name]
        graded = [word for word, null in zip(words, nulls, strict=True) if not null][::-1]
        told = {-1: "missing", **dict(enumerate(graded))}
        return gamma.cast(pl.Int64).replace_strict(
            {level: f"{name}: {word}" for level, word in told.items()}, default=f"{name}: ?", return_dtype=pl.String
        )


def _connected(theirs: pl.DataFrame, ours: pl.DataFrame) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    for setting in NOTHING_ON_DISK:
        connection.execute(f"SET {setting}")
    for name, frame in ((_THEIRS, theirs), (_OURS, ours)):
        connection.register(f"{name}_arrow", frame.select(PLACE, *_identifiers(frame)).to_arrow())
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_arrow")  # noqa: S608  names of ours
    return connection


def _identifiers(frame: pl.DataFrame) -> list[str]:
    return [name for name in frame.columns if not name.startswith("_")]


def _theirs_left(frame: pl.DataFrame) -> pl.DataFrame:
    if set(frame["source_dataset_l"].unique()) <= {_THEIRS}:
        return frame
    raise AssertionError("the two sides of a pair are not told apart")


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return 0 if row is None else int(row[0])
