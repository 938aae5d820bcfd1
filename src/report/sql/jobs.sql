-- Jobs of pg_cron for this database. What a command may hold is compared by its hash alone.
SELECT 'job' AS kind, coalesce(j.jobname, 'job ' || j.jobid) AS name,
       j.schedule || CASE WHEN j.active THEN '' ELSE ', inactive' END AS told,
       pg_catalog.md5(pg_catalog.concat_ws(' ', j.schedule, j.active, j.command)) AS compared
FROM cron.job j
WHERE j.database = pg_catalog.current_database()
ORDER BY 2
