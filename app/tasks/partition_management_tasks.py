"""分区管理任务."""

from __future__ import annotations

from flask import current_app

from app.services.partition_management.partition_management_service import (
    partition_management_service,
)
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()


def manage_partitions(dry_run: bool = False) -> dict:
    """执行分区管理任务.

    Args:
        dry_run: 只给出计划，不做任何更改.

    Returns:
        任务执行结果.

    """
    # 确保在应用上下文中运行
    with current_app.app_context():
        logger.info(
            "开始分区管理任务",
            module="tasks",
            task="manage_partitions",
            dry_run=dry_run,
        )

        try:
            result = partition_management_service.manage(dry_run=dry_run)

            logger.info(
                "分区管理任务完成",
                module="tasks",
                task="manage_partitions",
                success_count=result.get("success_count", 0),
                failed_count=result.get("failed_count", 0),
            )

            return result

        except Exception as exc:
            logger.exception(
                "分区管理任务失败",
                module="tasks",
                task="manage_partitions",
                error=str(exc),
            )
            raise
