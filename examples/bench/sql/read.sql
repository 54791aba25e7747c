select id, status, type, provider, model, progress, url, credit_cost, metadata, created_at::text as created_at
from generations where id = $1 and account_id = $2
