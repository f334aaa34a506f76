"""How many decimals a currency has, so that minor units can be read and printed."""

# ISO 4217; every other currency in use has two.
NO_DECIMALS = {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"}
NO_DECIMALS |= {"PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}
THREE_DECIMALS = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}


def exponent(currency: str) -> int:
    """Decimals of the currency: 0 for JPY, 2 for EUR, 3 for KWD."""
    if currency in NO_DECIMALS:
        return 0
    return 3 if currency in THREE_DECIMALS else 2
