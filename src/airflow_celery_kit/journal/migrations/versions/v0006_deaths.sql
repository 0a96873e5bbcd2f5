-- What was killed on its worker's way out, killed otherwise, or repaired in the last so many seconds, with the workers and the last reason.
CREATE FUNCTION journal.deaths(seconds double precision) RETURNS TABLE (what text, number bigint, workers text[], latest text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
    SELECT what, count(DISTINCT task), array_agg(DISTINCT worker ORDER BY worker) FILTER (WHERE worker <> ''), (array_agg(why ORDER BY at DESC))[1] FROM (
        SELECT task, worker, at, coalesce(facts ->> 'error', facts ->> 'reason', 'no reason is known') AS why,
            CASE WHEN kind = 'repaired' THEN 'repaired' WHEN facts ->> 'leaving' = 'true' THEN 'left' ELSE 'killed' END AS what
        FROM event WHERE kind IN ('lost', 'repaired') AND at > clock_timestamp() - make_interval(secs => seconds)
    ) AS lately GROUP BY what
$$;
REVOKE ALL ON FUNCTION journal.deaths FROM PUBLIC;
-- Installed alone there is one role, which owns all of it.
DO $$ BEGIN
    IF to_regrole('kit') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION journal.deaths TO kit;
    END IF;
END $$;
