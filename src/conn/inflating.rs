//! A session that compresses: what it keeps, and how a turn decompresses no more than it may.

use crate::deflate::{BEGINNING, Corrupt, Decoder, Encoder, Engines, Step};
use crate::proto::extensions::Agreed;

/// What is kept of a session that agreed on compression.
pub(super) struct Codec {
    /// Of what goes to the client.
    pub(super) encoder: Encoder,
    /// Of what comes from it.
    pub(super) decoder: Decoder,
    /// What was read and not looked at, since the peer was given a turn's bytes before.
    pub(super) unread: Vec<u8>,
}

impl Codec {
    pub(super) fn new(agreed: Agreed, level: u8, engines: &mut Engines) -> Self {
        Self {
            encoder: Encoder::new(agreed.server, level, &mut engines.deflaters),
            decoder: Decoder::new(agreed.client, engines.inflaters.clone()),
            unread: Vec::new(),
        }
    }

    /// Whether something is to be done before the client is read.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty() || self.decoder.has_more()
    }

    /// Whether what the client sends can be looked at: not without an inflater.
    pub(super) fn can_read(&self) -> bool {
        self.decoder.has_inflater()
    }

    /// Nothing that the client sends counts any more.
    pub(super) fn give_up(&mut self) {
        self.unread = Vec::new();
        self.decoder.give_up();
    }
}

/// A turn's decompressing for one session.
pub(super) struct Inflating<'a> {
    decoder: &'a mut Decoder,
    output: &'a mut [u8],
    /// How much may still be made of the client's bytes in this turn.
    budget: usize,
}

impl<'a> Inflating<'a> {
    pub(super) fn new(decoder: &'a mut Decoder, output: &'a mut [u8], budget: usize) -> Self {
        Self { decoder, output, budget }
    }

    /// Whether the turn has had its share.
    pub(super) fn is_spent(&self) -> bool {
        self.budget == 0
    }

    /// Goes on with a message, or begins one; returns whether it can in this turn.
    pub(super) fn begin(&mut self) -> bool {
        if self.is_spent() {
            return false;
        }
        let goes_on = self.decoder.is_inside();
        if !self.decoder.begin() {
            return false;
        }
        if !goes_on {
            self.spend(BEGINNING);
        }
        true
    }

    /// Decompresses a part of the message, the `last` or not.
    pub(super) fn step(&mut self, input: &[u8], last: bool) -> Result<Step, Corrupt> {
        let room = self.budget.clamp(1, self.output.len());
        let step = self.decoder.step(input, last, &mut self.output[..room])?;
        self.spend(step.cost);
        Ok(step)
    }

    /// What the last step made.
    pub(super) fn output(&self, step: &Step) -> &[u8] {
        &self.output[..step.written]
    }

    fn spend(&mut self, cost: usize) {
        self.budget = self.budget.saturating_sub(cost);
    }
}
