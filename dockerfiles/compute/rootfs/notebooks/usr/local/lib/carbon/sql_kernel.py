"""A Jupyter kernel for SQL: Python's, with every cell handed to JupySQL's %%sql magic.

It is connected to the suite's PostgreSQL where that service runs (psycopg finds the login in PGHOST, PGUSER, PGPASSFILE),
and to a DuckDB in memory otherwise. A cell that starts with % is a magic of its own: `%sql duckdb://`, `%sqlplot …`.
"""

import os

import duckdb
from ipykernel.kernelapp import IPKernelApp


def to_sql(lines: list[str]) -> list[str]:
    """A cell's lines as a %%sql cell; magics and empty cells as they are."""
    text = "".join(lines).strip()
    return lines if not text or text.startswith("%") else ["%%sql\n", *lines]


def connect(shell) -> None:
    shell.run_line_magic("load_ext", "sql")
    shell.run_line_magic("config", "SqlMagic.displaycon = False")
    shell.run_line_magic("config", "SqlMagic.feedback = 0")
    if os.environ.get("PGHOST"):
        shell.run_line_magic("sql", "postgresql+psycopg://")
    else:
        shell.push({"memory": duckdb.connect()})
        shell.run_line_magic("sql", "memory --alias memory")


def main() -> None:
    app = IPKernelApp.instance()
    app.initialize()
    connect(app.shell)
    app.shell.input_transformer_manager.cleanup_transforms.insert(0, to_sql)
    app.start()


if __name__ == "__main__":
    main()
