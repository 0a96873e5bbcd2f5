-- What the REST API and the command line tell of limits and breakers.
DROP FUNCTION IF EXISTS kit.limits_told(), kit.breakers_told();
CREATE FUNCTION kit.limits_told() RETURNS TABLE (
    name text, origin text, rule jsonb, slots integer, rate integer, period double precision, per_worker boolean, problem text, suspended jsonb, tokens jsonb
) LANGUAGE sql STABLE AS $$
    SELECT g.name, g.origin, g.rule, kit.limit_slots(g), g.rate, g.period, g.per_worker, value.problem,
        CASE WHEN stopped.guard IS NOT NULL THEN jsonb_build_object('who', stopped.who, 'reason', stopped.reason, 'at', stopped.at) END,
        coalesce((
            SELECT jsonb_agg(jsonb_build_object('token', token, 'taken', taken, 'waiting', waiting) ORDER BY token)
            FROM kit.guard_now() WHERE guard = g.id
        ), '[]')
    FROM kit.guard AS g LEFT JOIN kit.guard_suspended AS stopped ON stopped.guard = g.id LEFT JOIN kit.guard_value AS value ON value.guard = g.id
    WHERE g.kind = 'limit' AND g.id <> 'limit start' ORDER BY g.name
$$;

CREATE FUNCTION kit.breakers_told() RETURNS TABLE (
    name text, origin text, rule jsonb, token text, state text, reason text, who text, since timestamptz, until timestamptz, openings integer,
    probe text, failures bigint, level text, taken bigint, waiting bigint
) LANGUAGE sql STABLE AS $$
    SELECT g.name, g.origin, g.rule, coalesce(b.token, ''), coalesce(b.state, 'closed'), b.reason, b.who, b.since,
        CASE WHEN b.until <> 'infinity' THEN b.until END, coalesce(b.openings, 0), b.probe::text,
        (SELECT count(*) FROM unnest(b.failed_at) AS one WHERE one > clock_timestamp() - make_interval(secs => g.failures_within)),
        CASE WHEN b.loud_until > clock_timestamp() THEN 'error' ELSE 'warning' END, coalesce(now.taken, 0), coalesce(now.waiting, 0)
    FROM kit.guard AS g LEFT JOIN kit.breaker AS b ON b.guard = g.id
    LEFT JOIN kit.guard_now() AS now ON now.guard = g.id AND now.token = coalesce(b.token, '')
    WHERE g.kind = 'breaker' ORDER BY g.name, b.token
$$;
