"""A Jupyter kernel for SQL: each cell goes to the suite's PostgreSQL, or to a DuckDB in memory.

PostgreSQL is asked where the workspace has it; psycopg finds the login in PGHOST, PGUSER and PGPASSFILE. Each statement
is a transaction of its own, and each result a table.
"""

import os

import duckdb
import pandas
import psycopg
from carbon_kernel import CellError, CellKernel
from ipykernel.kernelapp import IPKernelApp

ROWS_SHOWN = 1000
"""Rows of a result that are fetched; a notebook is no place for more."""


class Postgres:
    """The suite's PostgreSQL."""

    name = "PostgreSQL"

    def __init__(self) -> None:
        self.connection = psycopg.connect(autocommit=True)

    def execute(self, text: str):
        """Yield the result of each statement, as a table or as what PostgreSQL says of it."""
        cursor = self.connection.execute(text)
        while True:
            if cursor.description:
                columns = [column.name for column in cursor.description]
                yield pandas.DataFrame(cursor.fetchmany(ROWS_SHOWN), columns=columns)
            else:
                yield cursor.statusmessage
            if not cursor.nextset():
                return


class DuckDb:
    """A DuckDB in memory, which also reads files: SELECT * FROM 'some.csv'."""

    name = "DuckDB"

    def __init__(self) -> None:
        self.connection = duckdb.connect()

    def execute(self, text: str):
        """Yield the result of each statement that has one."""
        for statement in self.connection.extract_statements(text):
            result = self.connection.sql(statement)
            if result is not None:
                yield result.limit(ROWS_SHOWN).df()


class SqlKernel(CellKernel):
    """Hands cells to the database and shows what it answers."""

    implementation = "carbon-sql"
    language_info = {"name": "sql", "mimetype": "text/x-sql", "file_extension": ".sql"}
    banner = "SQL"
    database = None

    def run_cell(self, code: str) -> None:
        try:
            if self.database is None:
                self.database = Postgres() if os.environ.get("PGHOST") else DuckDb()
            if code.strip():
                for result in self.database.execute(code):
                    self.show_result(result)
        except (psycopg.Error, duckdb.Error) as error:
            if isinstance(error, psycopg.OperationalError):
                self.database = None  # The next cell connects anew.
            raise CellError(str(error), type(error).__name__) from error

    def show_result(self, result) -> None:
        if isinstance(result, pandas.DataFrame):
            self.show_data({"text/plain": result.to_string(index=False), "text/html": result.to_html(index=False)})
        else:
            self.show_text("stdout", f"{result}\n")


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=SqlKernel)
