-- Every load that the ledger holds, oldest first, with what a report tells of it. What `prepare` has taken down is none.
SELECT l.id, l.schema_name, l.state, l.run_id, l.attempt, l.source, l.variables,
       coalesce(l.summary, '{}') - 'builds' - 'deferred' AS summary,
       coalesce((SELECT sum(b.value::float8)
                 FROM pg_catalog.jsonb_each_text(CASE pg_catalog.jsonb_typeof(l.summary -> 'builds') WHEN 'object'
                                                 THEN l.summary -> 'builds' END) AS b (key, value)), 0) AS builds_ms,
       extract(epoch FROM l.started_at)::float8 AS started,
       extract(epoch FROM l.updated_at)::float8 AS updated
FROM schemaferry.load l
WHERE NOT (l.state = 'clearing' AND coalesce(l.summary ->> 'taken_down', '') = 'true')
ORDER BY l.id
