-- What the demo's MariaDB or MySQL server holds: applications, a role, a wildcard grant and mistakes
CREATE DATABASE shop;
CREATE DATABASE shop_archive;
CREATE TABLE shop.articles (id bigint PRIMARY KEY, name varchar(200), price decimal(12, 2));
CREATE TABLE shop.stock (article_id bigint, amount integer);
CREATE ROLE catalogue_readers;
GRANT SELECT ON shop.* TO catalogue_readers;
CREATE USER 'web'@'10.0.%';
GRANT SELECT, INSERT, UPDATE ON shop.* TO 'web'@'10.0.%';
CREATE USER 'reports'@'%';
GRANT SELECT ON `shop\_%`.* TO 'reports'@'%';
CREATE USER 'maria'@'localhost';
GRANT catalogue_readers TO 'maria'@'localhost';
GRANT UPDATE (price) ON shop.articles TO 'maria'@'localhost';
CREATE USER 'backup'@'localhost';
GRANT SELECT, RELOAD, LOCK TABLES, SHOW VIEW, EVENT, TRIGGER ON *.* TO 'backup'@'localhost';
-- classic mistakes
CREATE USER 'root_copy'@'%';
GRANT ALL PRIVILEGES ON *.* TO 'root_copy'@'%' WITH GRANT OPTION;
CREATE USER 'ftp'@'%';
GRANT FILE ON *.* TO 'ftp'@'%';
