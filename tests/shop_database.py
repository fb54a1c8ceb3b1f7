"""A small shop in a database: its lines, as one SQL script that SQLite, DuckDB and PostgreSQL run, and its config."""

from datetime import datetime

from omegaconf import OmegaConf

from online_retail import CONF

COLUMNS = {
    "order_id": "order_id",
    "customer_id": "customer",
    "timestamp": "sold_at",
    "amount": "total",
    "quantity": "pieces",
    "product_id": "product",
}
ROWS = 240
CREATE = (
    "CREATE TABLE lines (id INTEGER PRIMARY KEY, order_id INTEGER, customer VARCHAR(20), sold_at TIMESTAMP, "
    "total DECIMAL(12, 2), pieces DECIMAL(9, 3), product VARCHAR(20), note VARCHAR(20), updated_at TIMESTAMP)"
)


def line(number, updated="2024-01-01 00:00:00", total=None):
    """One line of an order; its note is null in the first half of the shop."""
    order = number // 3
    day = f"2023-{1 + order % 12:02}-{1 + order % 28:02} 1{order % 10}:00:00"
    note = "NULL" if number < ROWS // 2 else f"'note {number % 7}'"
    total = f"{number % 89}.{10 + number % 90}" if total is None else total
    pieces = f"{1 + number % 4}.5" if number % 5 else "1"
    return (
        f"({number}, {order}, '0{order % 17}', '{day}', {total}, {pieces}, 'P{number % 11}', {note}, "
        f"'{updated}.{number:06}')"
    )


def insert(*lines):
    return f"INSERT INTO lines VALUES {', '.join(lines)}"


def script():
    return [CREATE, insert(*(line(number) for number in range(1, ROWS + 1)))]


def database_config(url, **changes):
    """The plain dictionary that Hydra makes of conf/data/database.yaml, for this shop."""
    merged = OmegaConf.merge(*(OmegaConf.load(CONF / f"{name}.yaml") for name in ("files", "database")))
    config = OmegaConf.to_container(merged, resolve=False)
    config.pop("defaults")
    config |= {"shop": "s", "currency": "EUR", "timezone": "Europe/Berlin", "url": url, "max_dropped": 1}
    config["tables"]["transactions"] |= {"table": "lines", "columns": dict(COLUMNS)}
    return config | changes


def incrementally(config):
    """Have newer lines read alone from now on, whenever the shop is staged."""
    config["tables"]["transactions"] |= {"incremental": "updated_at", "key": ["id"]}
    return config


def read_anew(config):
    return config | {"read_since": datetime.now().astimezone().isoformat()}
