-- Which tables do these FULLTEXT indexes belong to? (needs PROCESS)
SELECT TABLE_ID, NAME FROM information_schema.INNODB_TABLES WHERE TABLE_ID IN (/* ids */)
