"""容量聚合任务."""

from __future__ import annotations

from flask import current_app

from app.services.capacity_aggregation.capacity_aggregation_service import (
    capacity_aggregation_service,
)
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()


def run_aggregation(from_date: str | None = None, to_date: str | None = None) -> dict:
    """执行容量聚合任务.

    Args:
        from_date: 从这一天起重新聚合（含），ISO 日期，None 表示只聚合有变化的周期.
        to_date: 重新聚合到这一天为止（含），ISO 日期，None 表示到今天.

    Returns:
        任务执行结果.

    """
    # 确保在应用上下文中运行
    with current_app.app_context():
        logger.info(
            "开始容量聚合任务",
            module="tasks",
            task="run_aggregation",
            from_date=from_date,
            to_date=to_date,
        )

        try:
            result = capacity_aggregation_service.aggregate(from_date, to_date)

            logger.info(
                "容量聚合任务完成",
                module="tasks",
                task="run_aggregation",
                success_count=result.get("success_count", 0),
                failed_count=result.get("failed_count", 0),
            )

            return result

        except Exception as exc:
            logger.exception(
                "容量聚合任务失败",
                module="tasks",
                task="run_aggregation",
                error=str(exc),
            )
            raise
