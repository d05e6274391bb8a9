"""Benchmarks of napari-atomseg: a folder a theme, one runner for all.

    python -m benchmarks                          list them
    python -m benchmarks THEME NAME [ARGUMENTS]   run one; --help shows its arguments
    python -m benchmarks THEME all [ARGUMENTS]    run all of a theme

A benchmark is a module of a theme with two functions: `arguments(parser)` declares its options,
many of them by those of `benchmarks.options`, and `run(options)` measures and prints its tables by
`benchmarks.tables`. Its docstring is its help; the first line stands in the list.
"""
