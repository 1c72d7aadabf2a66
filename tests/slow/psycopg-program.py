"""A program on psycopg 3: tables, rows, transactions, errors, types, COPY, pipelines, cursors.

Usage: psycopg-program.py <connection string>. Ends with 1 at the first thing that is not as with Postgres.
"""

import datetime
import decimal
import sys
import threading
import uuid

import psycopg
from psycopg import errors
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb


def expect(error, connection, text, values=None):
    """Runs a statement that must fail with `error`, and returns the error."""
    try:
        with connection.transaction():
            connection.execute(text, values)
    except error as caught:
        return caught
    raise AssertionError(f"{text} did not raise {error.__name__}")


def rows_and_errors(connection):
    connection.execute("DROP SCHEMA IF EXISTS e2e_psycopg CASCADE")
    connection.execute("CREATE SCHEMA e2e_psycopg")
    connection.execute("SET search_path TO e2e_psycopg")
    connection.execute(
        "CREATE TABLE account (id serial PRIMARY KEY, owner text UNIQUE NOT NULL,"
        " balance numeric(12,2) NOT NULL CHECK (balance >= 0))"
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO account (owner, balance) VALUES (%s, %s)",
            [("ann", decimal.Decimal("100.00")), ("bob", decimal.Decimal("50.50"))],
        )
        assert cursor.rowcount == 2
    caught = expect(errors.UniqueViolation, connection, "INSERT INTO account (owner, balance) VALUES ('ann', 1)")
    assert caught.sqlstate == "23505"
    assert caught.diag.constraint_name == "account_owner_key"
    assert caught.diag.message_detail == "Key (owner)=(ann) already exists."
    expect(errors.CheckViolation, connection, "UPDATE account SET balance = balance - 1000 WHERE owner = 'ann'")
    expect(errors.UndefinedTable, connection, "SELECT * FROM nosuch")
    expect(errors.UndefinedColumn, connection, "SELECT nosuch FROM account")
    expect(errors.InvalidTextRepresentation, connection, "SELECT %s::text::int", ("x",))


def types(connection):
    values = {
        "int2": 7, "int4": -70000, "int8": 2**62, "numeric": decimal.Decimal("12345.678900"),
        "float8": 0.1, "text": "Grüße 世界", "bool": True, "bytea": b"\x00\xff\\", "uuid": uuid.UUID(int=5),
        "date": datetime.date(2020, 2, 29), "time": datetime.time(12, 34, 56, 789),
        "timestamp": datetime.datetime(2020, 2, 29, 12, 34, 56, 789),
        "timestamptz": datetime.datetime(2020, 2, 29, 12, tzinfo=datetime.timezone.utc),
        "interval": datetime.timedelta(days=3, seconds=5), "int4[]": [1, None, 3], "text[]": ["a", 'b "c"', None],
    }  # fmt: skip
    for binary in (False, True):
        for name, value in values.items():
            with connection.cursor(binary=binary) as cursor:
                cursor.execute(f"SELECT %s::{name}", (value,))
                assert cursor.fetchone() == (value,), (name, binary)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::jsonb -> 'a'", (Jsonb({"a": [1, None]}),))
        assert cursor.fetchone() == ([1, None],)


def transactions(url, connection):
    with connection.transaction():
        connection.execute("UPDATE account SET balance = balance - 10 WHERE owner = 'ann'")
        connection.execute("UPDATE account SET balance = balance + 10 WHERE owner = 'bob'")
    try:
        with connection.transaction():
            connection.execute("DELETE FROM account")
            raise RuntimeError
    except RuntimeError:
        pass
    total = connection.execute("SELECT count(*), sum(balance) FROM account").fetchone()
    assert total == (2, decimal.Decimal("150.50")), total

    with psycopg.connect(url, options="-c search_path=e2e_psycopg") as one:
        with psycopg.connect(url, options="-c search_path=e2e_psycopg") as two:
            for each in (one, two):
                each.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                each.execute("SELECT * FROM account")
            one.execute("UPDATE account SET balance = 1 WHERE owner = 'ann'")
            one.commit()
            try:
                two.execute("UPDATE account SET balance = 2 WHERE owner = 'ann'")
                two.commit()
                raise AssertionError("the second writer was not refused")
            except errors.SerializationFailure:
                two.rollback()


def many_at_once(connection):
    connection.execute("CREATE TABLE item (id int PRIMARY KEY, v text)")
    with connection.cursor() as cursor:
        with cursor.copy("COPY item FROM STDIN") as copy:
            for n in range(1000):
                copy.write_row((n, f"item {n}"))
    with connection.pipeline():
        cursors = [connection.execute("SELECT v FROM item WHERE id = %s", (n,)) for n in range(50)]
    assert [cursor.fetchone()[0] for cursor in cursors] == [f"item {n}" for n in range(50)]
    with connection.transaction():
        with connection.cursor(name="all_items", row_factory=dict_row) as cursor:
            cursor.execute("SELECT id, v FROM item ORDER BY id")
            assert cursor.fetchmany(3) == [{"id": n, "v": f"item {n}"} for n in range(3)]
            assert len(cursor.fetchall()) == 997
    with connection.cursor() as cursor:
        with cursor.copy("COPY (SELECT id FROM item WHERE id < 3 ORDER BY id) TO STDOUT") as copy:
            assert b"".join(bytes(part) for part in copy) == b"0\n1\n2\n"


def cancelling(connection):
    timer = threading.Timer(0.3, connection.cancel)
    timer.start()
    expect(
        errors.QueryCanceled, connection,
        "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b",
    )  # fmt: skip
    timer.join()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def main():
    url = sys.argv[1]
    with psycopg.connect(url, autocommit=True) as connection:
        for part in (rows_and_errors, types, many_at_once, cancelling):
            part(connection)
            print(f"{part.__name__}: ok")
        transactions(url, connection)
        print("transactions: ok")


main()
