from tests.commerce_core.buses import _impatient, moto_url, place  # noqa: F401  fixtures
