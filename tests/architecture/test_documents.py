"""What is generated is current, and what users set is documented."""

from __future__ import annotations

from mediaconvert.backends.analytics.clickhouse_schema import document
from mediaconvert.cli.settings import example
from mediaconvert.config import fields
from tests.architecture.source import ROOT


def test_every_setting_has_help_and_stands_in_the_example_file() -> None:
    text = (ROOT / "config/env.example").read_text()
    for field in fields():
        assert field.metadata["help"].endswith("."), field.name
        assert f"{field.variable}=" in text, field.name


def test_the_example_file_is_the_one_that_the_settings_make() -> None:
    assert (ROOT / "config/env.example").read_text() == example()


def test_the_tables_for_clickhouse_are_those_that_the_service_makes() -> None:
    assert (ROOT / "config/clickhouse.sql").read_text() == document()


def test_the_original_variable_names_keep_working() -> None:
    aliases = {f.metadata["alias"] for f in fields()}
    assert aliases >= {
        "PORT", "DATABASE_URL", "REDIS_URL", "CLICKHOUSE_DSN", "S3_ENDPOINT", "S3_ACCESS_KEY",
        "S3_SECRET_KEY", "S3_BUCKET", "S3_REGION", "JWT_SECRET", "MEDIACONVERT_DATA_DIR",
        "MEDIACONVERT_MASTER_KEY",
    }  # fmt: skip
