-- In which files are those tablespaces whose files are not named as they are? (needs PROCESS)
SELECT NAME, PATH
FROM information_schema.INNODB_TABLESPACES_BRIEF
WHERE (PATH LIKE '%@%' OR PATH LIKE '%#%') AND SPACE_TYPE = 'Single' /* , of one schema only */
