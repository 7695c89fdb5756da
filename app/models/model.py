from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import BigInteger, DateTime, Identity, Integer, MetaData, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

db = SQLAlchemy()
"""The store. ``db.session`` lives as long as the application context around it."""


class Model(DeclarativeBase):
    """Base of every table; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(none_as_null=True),
        list[str]: ARRAY(Text()),
    }


SmallId = Annotated[int, mapped_column(Integer, Identity(always=True), primary_key=True)]
"""Key of a table that stays below 2 billion rows; small, because fact rows repeat it."""

BigId = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]
