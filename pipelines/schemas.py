"""The contracts of the lake as Arrow and Spark schemas."""

import pyarrow as pa
from pyspark.sql import types as T

from contracts.table import Table, Type

ARROW: dict[Type, pa.DataType] = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "strings": pa.list_(pa.string()),
    "ints": pa.list_(pa.int64()),
    "floats": pa.list_(pa.float64()),
}

SPARK: dict[Type, T.DataType] = {
    "string": T.StringType(),
    "int32": T.IntegerType(),
    "int64": T.LongType(),
    "float64": T.DoubleType(),
    "bool": T.BooleanType(),
    "date": T.DateType(),
    "timestamp": T.TimestampType(),
    "strings": T.ArrayType(T.StringType()),
    "ints": T.ArrayType(T.LongType()),
    "floats": T.ArrayType(T.DoubleType()),
}


def arrow_schema(table: Table) -> pa.Schema:
    """The table's columns in contract order, `day` among them."""
    return pa.schema([pa.field(column.name, ARROW[column.type], column.nullable) for column in table.columns])


def spark_schema(table: Table) -> T.StructType:
    """The table's columns in contract order, `day` among them."""
    return T.StructType([T.StructField(column.name, SPARK[column.type], column.nullable) for column in table.columns])
