"""WhaleFall (鲸落): a ledger of accounts and capacity for fleets of database servers."""

__version__ = "0.1.0"
