"""A Jupyter kernel for SQL: each cell goes to the suite's PostgreSQL, or to a DuckDB in memory.

PostgreSQL is asked where the workspace has it; psycopg finds the login in PGHOST, PGUSER and PGPASSFILE. Each statement
is a transaction of its own, and each result a table.
"""

import os

import duckdb
import pandas
import psycopg
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

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


class SqlKernel(Kernel):
    """Hands cells to the database and shows what it answers."""

    implementation = "carbon-sql"
    implementation_version = "1"
    language_info = {"name": "sql", "mimetype": "text/x-sql", "file_extension": ".sql"}
    banner = "SQL"
    database = None

    def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False, **_):
        reply = {"status": "ok", "execution_count": self.execution_count, "user_expressions": {}}
        try:
            if self.database is None:
                self.database = Postgres() if os.environ.get("PGHOST") else DuckDb()
            if code.strip():
                for result in self.database.execute(code):
                    self.show(result, silent)
        except (psycopg.Error, duckdb.Error) as error:
            failure = {"ename": type(error).__name__, "evalue": str(error), "traceback": [str(error)]}
            self.send_response(self.iopub_socket, "error", failure)
            if isinstance(error, psycopg.OperationalError):
                self.database = None  # The next cell connects anew.
            return {**reply, "status": "error", **failure}
        return reply

    def show(self, result, silent: bool) -> None:
        if silent:
            return
        if isinstance(result, pandas.DataFrame):
            data = {"text/plain": result.to_string(index=False), "text/html": result.to_html(index=False)}
            self.send_response(self.iopub_socket, "display_data", {"data": data, "metadata": {}})
        else:
            self.send_response(self.iopub_socket, "stream", {"name": "stdout", "text": f"{result}\n"})


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=SqlKernel)
