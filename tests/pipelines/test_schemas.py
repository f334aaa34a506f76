import pytest

from contracts.tables import TABLES
from pipelines.schemas import arrow_schema, spark_schema


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_both_schemas_are_the_same_and_the_contract_s(spark, table):
    from pyspark.sql.pandas.types import from_arrow_schema

    arrow, columns = arrow_schema(table), spark_schema(table)
    assert arrow.names == columns.fieldNames() == [column.name for column in table.columns]
    assert from_arrow_schema(arrow).simpleString() == columns.simpleString()
    assert [field.nullable for field in arrow] == [field.nullable for field in columns]
