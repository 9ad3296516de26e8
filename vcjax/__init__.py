__version__ = "0.9.0"

# What decides results, given a config and its data. Raised whenever the arithmetic of training or
# scoring changes, in vcjax or in a package: only runs of the same number are comparable.
NUMERICS = 1
