"""The ground floor: dtypes, abstract values, tensor handles, levels and the primitive record."""
