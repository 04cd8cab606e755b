//! `curb plugin replay`: what a plugin could not handle on a hub, done once more; or a capture, run over.

use std::io::Write;

use curb_pipeline::{Bundle, HostCommand, Runner};
use serde::Serialize;

use super::args::ReplayArgs;
use super::bundle;
use super::run::{Teller, over, say};
use super::{Error, SEED};
use crate::cli::{FINE, FOUND};

pub(super) async fn run(args: &ReplayArgs, out: &mut impl Write) -> Result<u8, Error> {
    let path = &args.file;
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.clone(), source })?;
    if !bundle::is_bundle(&text) {
        let component = args.component.clone().ok_or(Error::NoComponent)?;
        return over(&args.how, component, &text, args.json, out).await;
    }
    let mut bundle = bundle::read(&text).map_err(|source| Error::Bundle { path: path.clone(), source })?;
    bundle.plugin.seed = SEED.to_vec();
    if let Some(component) = &args.component {
        bundle.plugin.component.clone_from(component);
    }
    let (mut runner, _) = Runner::replay(&bundle, &HostCommand::default()).await?;
    if runner.digest() != bundle.digest {
        say(&format!("the component is not the one that the hub had: that has the digest {}", bundle.digest));
    }
    let mut teller = Teller::default();
    teller.tell(&runner.said());
    tell(&bundle, teller.trouble, args.json, out)
}

fn tell(bundle: &Bundle, trouble: Option<(String, String)>, json: bool, out: &mut impl Write) -> Result<u8, Error> {
    #[derive(Serialize)]
    struct Document<'a> {
        v: u32,
        /// What went wrong here, if anything did.
        word: Option<&'a str>,
        detail: Option<&'a str>,
        /// What went wrong on the hub.
        hub_word: &'a str,
        hub_detail: &'a str,
        same: bool,
        /// What the hub left out of the bundle.
        readings_left_out: u64,
        state_left_out: bool,
    }
    let here = trouble.as_ref().map(|(word, detail)| (word.as_str(), detail.as_str()));
    // Here the functions that led there may stand behind it.
    let first = |(word, detail): (_, &str)| (word, detail.lines().next().unwrap_or_default().to_owned());
    let same = here.map(first) == Some((bundle.word.as_str(), bundle.detail.clone()));
    let left_out = bundle.left_out;
    if json {
        let (word, detail) = here.unzip();
        let (hub_word, hub_detail) = (bundle.word.as_str(), bundle.detail.as_str());
        let (readings_left_out, state_left_out) = (left_out.readings, left_out.state);
        let document = Document { v: 1, word, detail, hub_word, hub_detail, same, readings_left_out, state_left_out };
        writeln!(out, "{}", serde_json::to_string(&document).map_err(std::io::Error::from)?)?;
    } else {
        match here {
            Some((word, detail)) => writeln!(out, "{word}: {detail}")?,
            None => writeln!(out, "nothing went wrong")?,
        }
        if same {
            writeln!(out, "as on the hub")?;
        } else {
            writeln!(out, "on the hub: {}: {}", bundle.word, bundle.detail)?;
        }
        if left_out.readings > 0 || left_out.state {
            let state = if left_out.state { ", and the state" } else { "" };
            writeln!(out, "the hub left out what must not leave it: {} readings{state}", left_out.readings)?;
        }
    }
    out.flush()?;
    Ok(if here.is_some() { FOUND } else { FINE })
}
