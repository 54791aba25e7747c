//! Small movements of what is measured do not make choices alternate.

use std::time::Duration;

use doitong::{
    catalog::{Asked, RouteId},
    config::Secrets,
    domain::{ContentInput, GenerationType, Mode, Plan, Priority},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::support::TestApp;

const RUNS: usize = 60;
/// What the fastest routes take.
const SECONDS: u32 = 20;

/// With the credentials of an upstream, which is not called.
async fn app() -> TestApp {
    let key = |secrets: &mut Secrets| secrets.upstreams.insert("OPENAI_API_KEY".to_owned(), "secret".into());
    TestApp::with(Plan::Pro, |_, secrets| drop(key(secrets))).await
}

/// The routes for pictures that are equally fast, as far as is known.
fn equals(app: &TestApp) -> Vec<RouteId> {
    let catalog = app.app.catalog();
    let models = catalog.providers().flat_map(|provider| provider.models.iter().map(move |model| (provider, model)));
    let pictures = models.filter(|(_, model)| model.r#type == GenerationType::Image);
    let routes = pictures.flat_map(|(provider, model)| model.routes.iter().map(move |route| (provider, model, route)));
    let equal = routes.filter(|(.., route)| route.upstream.as_str() == "openai" && route.typical_seconds == SECONDS);
    equal.map(|(provider, model, route)| RouteId(format!("{}/{}@{}", provider.id, model.id, route.upstream))).collect()
}

fn fastest(app: &TestApp) -> RouteId {
    let asked = Asked {
        r#type: GenerationType::Image,
        provider: None,
        model: None,
        input: ContentInput { text: Some("A cat".to_owned()), ..ContentInput::default() },
        options: serde_json::Map::new(),
        priority: Priority::Speed,
        max_credits: None,
    };
    app.app.with_conditions(Mode::Live, |catalog, conditions| catalog.accept(&asked, conditions)).unwrap().route
}

/// How often the choice changes while every route takes the same time, give or take a tenth, and all are in use.
async fn changes(steady: bool) -> usize {
    let app = app().await;
    let (routes, mut noise, mut chosen) = (equals(&app), StdRng::seed_from_u64(7), Vec::new());
    assert!(routes.len() > 1);
    for _ in 0..RUNS {
        for route in &routes {
            let took = Duration::from_secs_f64(f64::from(SECONDS) * noise.random_range(0.9..1.1));
            app.app.health.ended(route, Some(took)).await.unwrap();
        }
        if !steady {
            app.sql("update route_health set steady_seconds = seconds").await.unwrap();
            app.app.health.reload().await.unwrap();
        }
        chosen.push(fastest(&app));
    }
    assert!(chosen.iter().all(|route| routes.contains(route)), "{chosen:?}");
    chosen[RUNS / 3..].windows(2).filter(|pair| pair[0] != pair[1]).count()
}

#[tokio::test]
async fn noise_does_not_make_the_choice_alternate() {
    // Beside it, what would be if choices went by the latest number.
    let (steady, unsteady) = (changes(true).await, changes(false).await);
    assert!(steady <= 1 && unsteady > 4, "{steady} changes, else {unsteady}");
}

#[tokio::test]
async fn a_route_that_really_gets_slower_is_left() {
    let app = app().await;
    let first = fastest(&app);
    for _ in 0..20 {
        app.app.health.ended(&first, Some(Duration::from_mins(10))).await.unwrap();
    }
    assert_ne!(fastest(&app), first);
}
