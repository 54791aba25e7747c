-- A machine whose clock was far ahead leaves moments behind that will not come for years: jobs that nobody looks at,
-- limits that do not refill, circuits that stay open. No wait of ours is longer than two days, so what lies further
-- ahead is brought back to now. Never makes a limit wider: counts stay.
create function forget_far_future(p_now timestamptz) returns void language plpgsql as $$
declare
    far timestamptz := p_now + interval '2 days';
begin
    update job set due_at = p_now where due_at > far;
    update job set deadline_at = far where deadline_at > far;
    update job set patience_until = p_now where patience_until > far;
    update delivery set due_at = p_now where due_at > far;
    update purse set minute_at = least(minute_at, p_now), day = least(day, (p_now at time zone 'UTC')::date)
    where minute_at > far or day > (far at time zone 'UTC')::date;
    update circuit set open_until = p_now where open_until > far;
    update circuit set last_failure_at = p_now where last_failure_at > far;
end
$$;
