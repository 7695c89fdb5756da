"""容量采集任务."""

from __future__ import annotations

from flask import current_app

from app.services.capacity_collection.capacity_collection_service import (
    capacity_collection_service,
)
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()


def collect_capacity(instance_ids: list[int] | None = None) -> dict:
    """执行容量采集任务.

    Args:
        instance_ids: 要采集的实例 ID 列表，None 表示全部.

    Returns:
        任务执行结果.

    """
    # 确保在应用上下文中运行
    with current_app.app_context():
        logger.info(
            "开始容量采集任务",
            module="tasks",
            task="collect_capacity",
            instance_count=len(instance_ids) if instance_ids else "all",
        )

        try:
            result = capacity_collection_service.collect_batch(instance_ids)

            logger.info(
                "容量采集任务完成",
                module="tasks",
                task="collect_capacity",
                success_count=result.get("success_count", 0),
                failed_count=result.get("failed_count", 0),
            )

            return result

        except Exception as exc:
            logger.exception(
                "容量采集任务失败",
                module="tasks",
                task="collect_capacity",
                error=str(exc),
            )
            raise
