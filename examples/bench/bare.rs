//! The bare server: axum, async-graphql and sqlx doing one ideal statement a request, and nothing else. No keys, limits
//! of documents, headers, or metrics: what the libraries alone cost.

use std::env;

use async_graphql::{Context, EmptySubscription, Enum, ID, InputObject, Json, Object, Schema, SimpleObject};
use axum::{Router, extract::State, http::HeaderMap, routing::post};
use serde_json::{Value, json};
use sqlx::{PgPool, Row as _, postgres::PgPoolOptions};
use uuid::Uuid;

/// As many as the gateway has.
const CONNECTIONS: u32 = 16;

#[derive(Enum, Copy, Clone, Eq, PartialEq)]
enum GenerationType {
    Video,
    Image,
    Audio,
    Avatar,
}

#[derive(InputObject)]
struct ContentInput {
    text: Option<String>,
    image: Option<String>,
}

#[derive(InputObject)]
struct GenerateInput {
    r#type: GenerationType,
    provider: Option<String>,
    input: ContentInput,
    options: Option<Json<Value>>,
    webhook_url: Option<String>,
}

#[derive(SimpleObject, Default)]
struct Generation {
    id: ID,
    status: String,
    r#type: String,
    provider: String,
    model: String,
    progress: i32,
    url: Option<String>,
    credit_cost: i64,
    metadata: Option<Json<Value>>,
    created_at: String,
}

struct Caller {
    account: i64,
    key: Option<String>,
}

struct Query;

#[Object]
impl Query {
    async fn generation(&self, context: &Context<'_>, id: ID) -> async_graphql::Result<Option<Generation>> {
        let id = Uuid::try_parse(id.trim_start_matches("gen_"))?;
        let row = sqlx::query(include_str!("sql/read.sql"))
            .bind(id)
            .bind(context.data::<Caller>()?.account)
            .fetch_optional(context.data::<PgPool>()?)
            .await?;
        Ok(row.map(|row| Generation {
            id: format!("gen_{}", id.simple()).into(),
            status: row.get("status"),
            r#type: row.get("type"),
            provider: row.get("provider"),
            model: row.get("model"),
            progress: row.get::<i16, _>("progress").into(),
            url: row.get("url"),
            credit_cost: row.get("credit_cost"),
            metadata: row.get::<Option<Value>, _>("metadata").map(Json),
            created_at: row.get("created_at"),
        }))
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn generate(&self, context: &Context<'_>, input: GenerateInput) -> async_graphql::Result<Generation> {
        let (caller, id) = (context.data::<Caller>()?, Uuid::now_v7());
        let kind = match input.r#type {
            GenerationType::Video => "VIDEO",
            GenerationType::Image => "IMAGE",
            GenerationType::Audio => "AUDIO",
            GenerationType::Avatar => "AVATAR",
        };
        let provider = input.provider.unwrap_or_else(|| "kling".to_owned());
        let row = sqlx::query(include_str!("sql/admit.sql"))
            .bind(caller.account)
            .bind(caller.key.clone().unwrap_or_else(|| id.simple().to_string()))
            .bind(id)
            .bind(5_i64)
            .bind(kind)
            .bind(&provider)
            .bind(json!({"text": input.input.text, "image": input.input.image}))
            .bind(input.options.map(|options| options.0).unwrap_or_default())
            .bind(input.webhook_url)
            .fetch_one(context.data::<PgPool>()?)
            .await?;
        Ok(Generation {
            id: format!("gen_{}", row.get::<Uuid, _>("id").simple()).into(),
            status: "PENDING".to_owned(),
            r#type: kind.to_owned(),
            provider,
            model: "m1".to_owned(),
            credit_cost: 5,
            created_at: row.get("created_at"),
            ..Generation::default()
        })
    }
}

type Api = Schema<Query, Mutation, EmptySubscription>;

/// `Bearer acct-N` names the account.
async fn graphql(
    State(api): State<Api>,
    headers: HeaderMap,
    body: axum::Json<async_graphql::Request>,
) -> axum::Json<async_graphql::Response> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let account = text("authorization").and_then(|value| value.rsplit('-').next()?.parse().ok()).unwrap_or(1);
    let key = text("idempotency-key").map(str::to_owned);
    axum::Json(api.execute(body.0.data(Caller { account, key })).await)
}

pub async fn serve() {
    let url = env::var("DATABASE_URL").unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .min_connections(CONNECTIONS)
        .test_before_acquire(false)
        .connect(&url)
        .await
        .unwrap();
    let api = Schema::build(Query, Mutation, EmptySubscription).data(pool).finish();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening on http://{}", listener.local_addr().unwrap());
    axum::serve(listener, Router::new().route("/graphql", post(graphql)).with_state(api)).await.unwrap();
}
