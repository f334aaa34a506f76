"""The door to Spark: one way to start a session, on this machine or on a cluster."""

import os
import sys
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import SparkSession

from pipelines import class_archive
from pipelines.java import java_home
from pipelines.settings import Settings

# The folder that holds our packages: workers must find `pipelines` also when it is not installed.
PACKAGES = Path(__file__).resolve().parent.parent

EVERYWHERE = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.executorEnv.PYTHONPATH": str(PACKAGES),
    # Tasks are the parallelism; threads under them only fight for the same cores.
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
    "spark.executorEnv.MKL_NUM_THREADS": "1",
}

ONE_MACHINE = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
    # A year is 365 small files: list them here instead of in a job, and pack many into a task.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "5000",
    "spark.sql.files.openCostInBytes": str(256 * 1024),
}


def session(settings: Settings) -> SparkSession:
    """The running Spark session, started on `settings.spark_master` when there is none."""
    running = SparkSession.getActiveSession()
    if running is not None:
        return running
    home = java_home()
    os.environ["JAVA_HOME"] = str(home)
    local = settings.spark_master.startswith("local")
    if local:
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
        os.environ["PYSPARK_PYTHON"] = sys.executable
    else:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("shelfwise").master(settings.spark_master)
    builder = builder.config("spark.driver.memory", settings.spark_driver_memory)
    builder = builder.config("spark.driver.extraJavaOptions", class_archive.options(home))
    for name, value in (EVERYWHERE | ONE_MACHINE if local else EVERYWHERE).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def stop() -> None:
    """End the session and its Java, which gives back the memory that it took; the next session starts a new one."""
    running = SparkSession.getActiveSession()
    gateway = SparkContext._gateway
    if running is None or gateway is None:
        return
    running.stop()
    gateway.shutdown()
    SparkContext._gateway = SparkContext._jvm = None
    java = gateway.proc  # ends with its standard input
    java.stdin.close()
    java.wait()
