"""账户同步任务."""

from __future__ import annotations

from flask import current_app

from app.services.accounts_sync.accounts_sync_service import accounts_sync_service
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()


def sync_accounts(instance_ids: list[int] | None = None) -> dict:
    """执行账户同步任务.

    Args:
        instance_ids: 要同步的实例 ID 列表，None 表示全部.

    Returns:
        任务执行结果.

    """
    # 确保在应用上下文中运行
    with current_app.app_context():
        logger.info(
            "开始账户同步任务",
            module="tasks",
            task="sync_accounts",
            instance_count=len(instance_ids) if instance_ids else "all",
        )

        try:
            result = accounts_sync_service.sync_batch(instance_ids)

            logger.info(
                "账户同步任务完成",
                module="tasks",
                task="sync_accounts",
                success_count=result.get("success_count", 0),
                failed_count=result.get("failed_count", 0),
            )

            return result

        except Exception as exc:
            logger.exception(
                "账户同步任务失败",
                module="tasks",
                task="sync_accounts",
                error=str(exc),
            )
            raise
