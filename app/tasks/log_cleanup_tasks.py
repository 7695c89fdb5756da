"""日志清理任务."""

from __future__ import annotations

from flask import current_app

from app.services.log_cleanup.log_cleanup_service import log_cleanup_service
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()


def cleanup_logs() -> dict:
    """执行日志清理任务.

    Returns:
        任务执行结果.

    """
    # 确保在应用上下文中运行
    with current_app.app_context():
        logger.info(
            "开始日志清理任务",
            module="tasks",
            task="cleanup_logs",
        )

        try:
            result = log_cleanup_service.cleanup()

            logger.info(
                "日志清理任务完成",
                module="tasks",
                task="cleanup_logs",
                success_count=result.get("success_count", 0),
                failed_count=result.get("failed_count", 0),
            )

            return result

        except Exception as exc:
            logger.exception(
                "日志清理任务失败",
                module="tasks",
                task="cleanup_logs",
                error=str(exc),
            )
            raise
