//! How the value of an option is read, and what it sets.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::sandbox_options::SandboxOption;
use super::tls_options::TlsOption;
use super::values::{
    Zero, deflate, filled, log_format, number, pair, path, place, put_page, seconds, seconds_text,
    switch, web_origin,
};
use super::worker_options::WorkerOption;
use super::{
    Account, BackendStep, Config, Listen, Origin, PlacedStep, access, admin, listen, proxies,
    source,
};
use crate::access::{Rate, Verdict};
use crate::logging::Format;
use crate::proto::origin::OriginPattern;

/// The kernel's own default ceiling of descriptors a process (`fs.nr_open`): no more clients than
/// that can ever be.
pub(super) const MAX_CLIENTS: usize = 1 << 20;

/// What an option sets, and with it how its value is read.
pub(super) enum Setting {
    Listen,
    Plugins,
    Port(fn(&mut Config) -> &mut u16),
    MaxConnections,
    Deflate,
    Count(RangeInclusive<usize>, fn(&mut Config) -> &mut usize),
    Seconds(Zero, fn(&mut Config) -> &mut Duration),
    LogFormat,
    WebOrigin(fn(&mut Config) -> &mut Vec<OriginPattern>),
    Access(Verdict),
    PeerAllow,
    Source,
    TrustedProxy,
    ForwardedHeader,
    SendProxy,
    AuthFile,
    /// `yes` or `no`; on the command line the flag alone is `yes`.
    Switch(fn(&mut Config) -> &mut bool),
    Rate(fn(&mut Config) -> &mut Option<Rate>),
    /// A path of this server's own.
    Path(fn(&mut Config) -> &mut Option<String>),
    /// The directory of the files that are served.
    Web,
    Admin,
    /// Where clients are sent, as a Location on this server.
    Place(fn(&mut Config) -> &mut Option<String>),
    /// A user or a group of this machine, by name or number.
    Account(fn(&mut Config) -> &mut Option<Account>),
    Backend,
    Tls(TlsOption),
    Workers(WorkerOption),
    Sandbox(SandboxOption),
    /// `KEY=VALUE` for the back end. The file has the section `[backend]` for this.
    BackendPair,
}

impl Setting {
    /// Whether the command line may give it more than once.
    pub(super) fn repeats(&self) -> bool {
        match self {
            Self::Listen | Self::WebOrigin(_) | Self::Access(_) | Self::PeerAllow => true,
            Self::Source | Self::TrustedProxy | Self::BackendPair => true,
            Self::Tls(option) => option.repeats(),
            Self::Sandbox(option) => *option == SandboxOption::Path,
            _ => false,
        }
    }

    /// Whether it is a key of the file's section `[core]`.
    pub(super) fn is_core_key(&self) -> bool {
        !matches!(self, Self::BackendPair)
    }

    /// The default as an operator would write it.
    pub(super) fn default_value(&self) -> Option<String> {
        let mut config = Config::default();
        match self {
            Self::Listen => config.listen.first().map(default_listen),
            Self::Plugins => config.plugins.as_ref().map(|dir| dir.display().to_string()),
            Self::Port(field) => Some(field(&mut config).to_string()),
            Self::MaxConnections => Some(config.max_connections.to_string()),
            Self::Count(_, field) => Some(field(&mut config).to_string()),
            Self::Deflate => Some("off".into()),
            Self::LogFormat => {
                let known = Format::NAMES.iter().find(|(_, format)| *format == config.log.format);
                known.map(|(name, _)| (*name).into())
            }
            Self::Seconds(zero, field) => Some(seconds_text(*zero, *field(&mut config))),
            Self::ForwardedHeader => Some(config.forwarded_header.name().into()),
            Self::Tls(option) => option.default_value().map(Into::into),
            Self::Workers(option) => option.default_value(),
            Self::WebOrigin(_) | Self::Access(_) | Self::PeerAllow | Self::Rate(_) => None,
            Self::Source | Self::TrustedProxy | Self::SendProxy | Self::Path(_) => None,
            Self::Web | Self::Place(_) | Self::Admin | Self::Account(_) => None,
            Self::Backend | Self::BackendPair | Self::Switch(_) | Self::AuthFile => None,
            Self::Sandbox(_) => None,
        }
    }

    /// Reads `value` into `config`, or says what is wrong with it.
    pub(super) fn apply(
        &self,
        config: &mut Config,
        value: &str,
        origin: &Origin,
    ) -> Result<(), String> {
        match self {
            Self::Listen => {
                let listen = listen::read(value, origin)?;
                config.listen.retain(|earlier| earlier.origin.is_some()); // not the default
                config.listen.push(listen);
            }
            Self::Plugins => {
                config.plugins = Some(filled(value)?.into());
                config.plugins_origin = Some(origin.clone());
            }
            Self::Port(field) => *field(config) = number(value, &(0..=u16::MAX))?,
            Self::MaxConnections => {
                config.max_connections = number(value, &(1..=MAX_CLIENTS))?;
                config.max_connections_origin = Some(origin.clone());
            }
            Self::Deflate => config.deflate = deflate(value)?,
            Self::Count(range, field) => *field(config) = number(value, range)?,
            Self::Seconds(zero, field) => *field(config) = seconds(value, *zero)?,
            Self::LogFormat => config.log.format = log_format(value)?,
            Self::WebOrigin(field) => field(config).push(web_origin(value)?),
            Self::Access(verdict) => config.access.push(*verdict, access::network(value)?),
            Self::Path(field) => put_page(config, *field, path(value)?)?,
            Self::Web => {
                config.web = Some(Path::new(filled(value)?).into());
                config.web_origin = Some(origin.clone());
            }
            Self::Admin => config.admin = Some(admin::read(value, origin)?),
            Self::Place(field) => put_page(config, *field, place(value)?)?,
            Self::Account(field) => {
                let account = Account { name: filled(value)?.into(), origin: origin.clone() };
                *field(config) = Some(account);
            }
            Self::AuthFile => {
                config.auth_file = Some(filled(value)?.into());
                config.auth_file_origin = Some(origin.clone());
            }
            Self::Switch(field) => *field(config) = switch(value)?,
            Self::PeerAllow => config.peers.push(access::network(value)?),
            Self::Source => config.sources.push(source::read(value, origin)?),
            Self::TrustedProxy => proxies::trust(config, value)?,
            Self::ForwardedHeader => proxies::read_header(config, value, origin)?,
            Self::SendProxy => proxies::send(config, value, origin)?,
            Self::Rate(field) => *field(config) = Some(access::rate(value)?),
            Self::Backend => {
                let step = BackendStep::Load(filled(value)?.into());
                config.backend.push(PlacedStep { step, origin: origin.clone() });
            }
            Self::Tls(option) => option.apply(config, value, origin)?,
            Self::Workers(option) => option.apply(config, value, origin)?,
            Self::Sandbox(option) => option.apply(config, value, origin)?,
            Self::BackendPair => config.backend.push(pair(value, origin)?),
        }
        Ok(())
    }
}

fn default_listen(listen: &Listen) -> String {
    listen.address.to_string().trim_matches(['[', ']']).into()
}
