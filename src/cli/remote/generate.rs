//! `doitong generate`: submits, and follows what it started.

use std::process::ExitCode;

use serde_json::Value;
use uuid::Uuid;

use super::{
    super::values,
    exit,
    follow::{Form, Teller, follow},
    inputs::{self, Inputs},
    output,
};
use crate::{
    client::{Client, Generation, Refusal, Wanted},
    domain::{GenerationType, Priority},
    lifecycle::Signals,
};

const EXAMPLES: &str = "\
Examples:
  doitong generate image \"A red fox in the snow\"
  doitong generate video \"It runs away\" --image fox.png --option duration=5 -o fox.mp4
  doitong generate audio \"Good morning\" --voice alloy --max-credits 10
`doitong list` shows what was made; the options of a provider are in the console and in `providers.options` of the API.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// What to make
    #[arg(value_name = "TYPE", ignore_case = true, value_parser = values::generation_type())]
    r#type: GenerationType,
    /// The prompt, or the words to speak
    text: Option<String>,
    /// Who makes it; the gateway chooses when absent
    #[arg(long)]
    provider: Option<String>,
    /// One of the provider's models
    #[arg(long)]
    model: Option<String>,
    /// An option of the provider; the value is JSON where it can be read as such, else text
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = inputs::option)]
    options: Vec<(String, Value)>,
    /// What matters most when the gateway chooses
    #[arg(long, ignore_case = true, value_parser = inputs::priority())]
    priority: Option<Priority>,
    /// A picture to work from; several of them are references
    #[arg(long = "image", value_name = "FILE|URL")]
    images: Vec<String>,
    /// The picture to end with
    #[arg(long, value_name = "FILE|URL")]
    last_image: Option<String>,
    /// A clip to work on
    #[arg(long, value_name = "FILE|URL")]
    video: Option<String>,
    /// A sound to work with
    #[arg(long, value_name = "FILE|URL")]
    audio: Option<String>,
    /// The voice
    #[arg(long)]
    voice: Option<String>,
    /// Where the end is told, as a signed webhook
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// The most it may cost
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    max_credits: Option<i64>,
    /// Only submit: neither watch nor save
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(args: &Args, client: &Client, signals: &mut Signals) -> anyhow::Result<ExitCode> {
    args.form.check()?;
    if !args.no_wait {
        args.form.check_place()?;
    }
    let submitted = tokio::select! {
        submitted = submit(args, client) => submitted?,
        () = signals.stop() => {
            output::note("interrupted before the gateway answered; `doitong list` shows whether it was accepted");
            return Ok(exit::interrupted());
        }
    };
    if args.no_wait {
        return said(&submitted, &args.form);
    }
    let mut teller = Teller::new(&args.form);
    teller.accepted(&submitted)?;
    teller.show(&submitted);
    follow(client, &submitted.id, &mut teller, signals).await
}

/// Uploads what is a file, and submits under a key of its own, so that no repetition buys anything twice.
async fn submit(args: &Args, client: &Client) -> Result<Generation, Refusal> {
    let Args { text, voice, images, last_image, video, audio, .. } = args;
    let inputs = Inputs {
        text: text.as_deref(),
        voice: voice.as_deref(),
        images,
        last_image: last_image.as_deref(),
        video: video.as_deref(),
        audio: audio.as_deref(),
    };
    let wanted = Wanted {
        r#type: args.r#type,
        provider: args.provider.clone(),
        model: args.model.clone(),
        input: inputs.uploaded(client).await?,
        options: args.options.iter().cloned().collect(),
        priority: args.priority,
        webhook_url: args.webhook_url.clone(),
        max_credits: args.max_credits,
    };
    client.generate(&wanted, format!("cli-{}", Uuid::new_v4())).await
}

fn said(generation: &Generation, form: &Form) -> anyhow::Result<ExitCode> {
    if form.json {
        output::json(generation)?;
    } else {
        Teller::new(form).accepted(generation)?;
    }
    Ok(ExitCode::SUCCESS)
}
