"""Convert and scale weights as raw numbers, without torch.

bfloat16 is stored as its 16 bits, so slices copy bytes and a power of two changes exponents only. Types have the names
of safetensors headers: BF16, F16, F32.
"""

import math

import numpy as np

Array = np.ndarray  # two-dimensional; uint16 holds the bits of a BF16
STORAGE: dict[str, type] = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32}
SHORT_NAME = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
LONG_NAME = {short: long for long, short in SHORT_NAME.items()}

_EXPONENT = 0x7F80
_MANTISSA_BITS = 7


def itemsize(dtype: str) -> int:
    """Return the bytes of one number."""
    return int(np.dtype(STORAGE[dtype]).itemsize)


def to_float32(array: Array, dtype: str) -> Array:
    """Convert to float32, exactly."""
    if dtype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32, copy=False)


def from_float32(values: Array, dtype: str) -> Array:
    """Round float32 values to nearest even in another type."""
    if dtype != "BF16":
        return values.astype(STORAGE[dtype], copy=False)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def cast(array: Array, old: str, new: str) -> Array:
    """Convert values to another type."""
    return array if old == new else from_float32(to_float32(array, old), new)


def scaled(array: Array, dtype: str, factor: float) -> Array:
    """Multiply weights by a factor.

    The product is exact for a power of two, otherwise rounded once.

    Raises:
        OverflowError: If a finite weight leaves the range of its type.
    """
    if factor == 1:
        return array
    fraction, exponent = math.frexp(factor)
    if dtype == "BF16" and fraction == 0.5:
        return _shifted(array, exponent - 1)
    with np.errstate(over="ignore"):
        product = from_float32(to_float32(array, dtype) * np.float32(factor), dtype)
    if not_finite(product, dtype) > not_finite(array, dtype):
        raise OverflowError(f"a weight times {factor:g} is beyond the range of {LONG_NAME[dtype]}")
    return product


def _shifted(array: Array, power: int) -> Array:
    """Multiply bfloat16 bits by 2**power in the exponent field.

    Zeros, subnormals and the ends of the range go through float32, because their exponent field cannot be shifted.
    """
    exponent = array & np.uint16(_EXPONENT)
    low, high = max(0, -power) << _MANTISSA_BITS, (0xFF - max(0, power)) << _MANTISSA_BITS
    result = array + np.uint16((power << _MANTISSA_BITS) & 0xFFFF)
    if exponent.min(initial=_EXPONENT) <= low or exponent.max(initial=0) >= high:
        special = (exponent <= low) | (exponent >= high)
        with np.errstate(over="ignore"):
            result[special] = from_float32(to_float32(array[special], "BF16") * np.float32(2.0**power), "BF16")
        if not_finite(result, "BF16") > not_finite(array, "BF16"):
            raise OverflowError(f"a weight times {2.0**power:g} is beyond the range of bfloat16")
    return result


def not_finite(array: Array, dtype: str) -> int:
    """Count the numbers that are NaN or infinite."""
    if dtype == "BF16":
        return int(np.count_nonzero((array & np.uint16(_EXPONENT)) == _EXPONENT))
    return int(array.size - np.count_nonzero(np.isfinite(array)))
