//! Takes the frames of data that go to a client: as they are, or compressed (RFC 7692 §7.2.1).

use std::ops::Range;

use super::batch::Batch;
use super::inflating::Codec;
use crate::deflate::{Deflaters, Encoder, Engines};
use crate::proto::frame::{Header, Opcode};

/// Where frames of data for the client go. What a header says of the length is true of the payload
/// that is handed over, and not of what goes over the wire.
pub(super) trait DataFrames {
    /// A frame whose payload is a range of the turn's buffer.
    fn add_frame(&mut self, header: &Header, buffer: &[u8], range: Range<usize>);

    /// A frame whose payload lies elsewhere.
    fn stage_frame(&mut self, header: &Header, payload: &[u8]);
}

impl DataFrames for Batch {
    fn add_frame(&mut self, header: &Header, buffer: &[u8], range: Range<usize>) {
        self.stage_header(header);
        self.add(buffer, range);
    }

    fn stage_frame(&mut self, header: &Header, payload: &[u8]) {
        self.stage_header(header);
        self.stage(payload);
    }
}

/// Compresses what pays.
pub(super) struct Compressing<'a> {
    batch: &'a mut Batch,
    encoder: &'a mut Encoder,
    deflaters: &'a mut Deflaters,
}

impl<'a> Compressing<'a> {
    pub(super) fn new(
        batch: &'a mut Batch,
        codec: &'a mut Codec,
        engines: &'a mut Engines,
    ) -> Self {
        Self { batch, encoder: &mut codec.encoder, deflaters: &mut engines.deflaters }
    }

    /// Stages the frame compressed; returns whether it is to go so.
    fn compressed(&mut self, header: &Header, payload: &[u8]) -> bool {
        let first = header.opcode != Opcode::Continuation;
        let compressed = self.encoder.frame((first, header.fin), payload, self.deflaters);
        let Some(compressed) = compressed else { return false };
        self.batch.data.count(header.length, header.fin);
        let header = Header { length: compressed.len() as u64, ..*header };
        // RFC 7692 §6: the bit stands on the first frame of a message.
        let encoded = if first { header.encode_compressed() } else { header.encode() };
        self.batch.stage(encoded.as_slice());
        self.batch.stage(compressed);
        true
    }
}

impl DataFrames for Compressing<'_> {
    fn add_frame(&mut self, header: &Header, buffer: &[u8], range: Range<usize>) {
        if !self.compressed(header, &buffer[range.clone()]) {
            self.batch.add_frame(header, buffer, range);
        }
    }

    fn stage_frame(&mut self, header: &Header, payload: &[u8]) {
        if !self.compressed(header, payload) {
            DataFrames::stage_frame(self.batch, header, payload);
        }
    }
}
