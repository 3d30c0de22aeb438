//! Writes mutants into a source.

use std::ops::Range;

use proc_macro2::{LineColumn, Span};
use serde_json::Value;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, Block, Expr, ExprBinary, ExprStruct, ExprUnary, Pat, PatGuard, Signature};

use crate::Result;

/// What stands before the number of a mutant.
pub(crate) const MARK: &str = "crate::mutant::is(";

/// One of those that cargo-mutants lists.
pub(crate) struct Mutant {
    id: usize,
    genre: String,
    replacement: String,
    /// Line and column, both from one on.
    start: (u64, u64),
}

impl Mutant {
    pub(crate) fn new(id: usize, listed: &Value) -> Result<Self> {
        let text = |name: &str| listed[name].as_str().unwrap_or_default().to_owned();
        let start = &listed["span"]["start"];
        let number = |value: &Value| value.as_u64().ok_or("a mutant without a place");
        Ok(Self {
            id,
            genre: text("genre"),
            replacement: text("replacement"),
            start: (number(&start["line"])?, number(&start["column"])?),
        })
    }
}

/// The source with the mutants in it, and those that found no place.
pub(crate) fn weave(
    source: &str,
    mutants: &[Mutant],
    consts: &[String],
) -> Result<(String, Vec<usize>)> {
    let mut line_starts = vec![0];
    line_starts.extend(source.match_indices('\n').map(|(at, _)| at + 1));
    let (edits, placed) = (Vec::new(), Vec::new());
    let mut weaver = Weaver { source, line_starts, mutants, consts, edits, placed };
    weaver.visit_file(&syn::parse_file(source)?);
    // Insertions first, then the outer ones.
    weaver
        .edits
        .sort_by_key(|Edit { range, .. }| (range.start, !range.is_empty(), usize::MAX - range.end));
    let woven = weaver.render(0..source.len(), 0);
    let lost = mutants.iter().map(|mutant| mutant.id).filter(|id| !weaver.placed.contains(id));
    Ok((woven, lost.collect()))
}

/// `range` becomes what stands before it, itself (with the edits inside), and what stands behind.
struct Edit {
    range: Range<usize>,
    before: String,
    after: String,
}

struct Weaver<'a> {
    source: &'a str,
    line_starts: Vec<usize>,
    mutants: &'a [Mutant],
    /// Functions that have to stay `const`.
    consts: &'a [String],
    edits: Vec<Edit>,
    placed: Vec<usize>,
}

impl Weaver<'_> {
    fn offset(&self, at: LineColumn) -> usize {
        let line = self.line_starts.get(at.line - 1).copied().unwrap_or_default();
        let text = &self.source[line..];
        line + text.char_indices().nth(at.column).map_or(text.len(), |(index, _)| index)
    }

    fn range(&self, span: Span) -> Range<usize> {
        self.offset(span.start())..self.offset(span.end())
    }

    /// The mutants of this genre that begin where `span` does: number and replacement.
    fn at(&mut self, genre: &str, span: Span) -> Vec<(usize, String)> {
        let start = (span.start().line as u64, span.start().column as u64 + 1);
        let here = |mutant: &&Mutant| mutant.genre == genre && mutant.start == start;
        let found: Vec<_> = self.mutants.iter().filter(here).collect();
        self.placed.extend(found.iter().map(|mutant| mutant.id));
        found.iter().map(|mutant| (mutant.id, mutant.replacement.clone())).collect()
    }

    /// `range` in another form if a mutant is on.
    fn choose(&mut self, range: Range<usize>, others: &[(usize, String)]) {
        if others.is_empty() {
            return;
        }
        let mut before = String::from("(");
        for (id, other) in others {
            before += &format!("if {MARK}{id}) {{ {other} }} else ");
        }
        self.edits.push(Edit { range, before: before + "{ ", after: " })".to_owned() });
    }

    fn render(&self, range: Range<usize>, first: usize) -> String {
        let (mut text, mut at, mut next) = (String::new(), range.start, first);
        while let Some(edit) = self.edits.get(next).filter(|edit| edit.range.start < range.end) {
            let inside = self.edits[next + 1..].iter();
            let inside = inside.take_while(|inner| inner.range.start < edit.range.end).count();
            text += &self.source[at..edit.range.start];
            text += &edit.before;
            text += &self.render(edit.range.clone(), next + 1);
            text += &edit.after;
            at = edit.range.end;
            next += 1 + inside;
        }
        text + &self.source[at..range.end]
    }

    fn function(&mut self, signature: &Signature, block: &Block) {
        let Some(first) = block.stmts.first() else { return };
        if self.consts.iter().any(|name| signature.ident == name) {
            return;
        }
        let mut before = String::new();
        // A value of another type than the body's cannot stand beside it.
        let is_opaque = self.source[self.range(signature.output.span())].contains("impl ");
        let values = if is_opaque { Vec::new() } else { self.at("FnValue", first.span()) };
        for (id, value) in values {
            before += &format!("if {MARK}{id}) {{ return {value}; }} ");
        }
        let has_own = !before.is_empty();
        let start = self.offset(first.span().start());
        self.edits.push(Edit { range: start..start, before, after: String::new() });
        let edits = self.edits.len();
        visit::visit_block(self, block);
        if let Some(token) = signature.constness
            && (has_own || self.edits.len() > edits)
        {
            let range = self.range(token.span());
            self.edits.push(Edit { range, before: "/*".to_owned(), after: "*/".to_owned() });
        }
    }
}

impl<'ast> Visit<'ast> for Weaver<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
    }

    fn visit_expr_binary(&mut self, expr: &'ast ExprBinary) {
        let (all, operator) = (self.range(expr.span()), self.range(expr.op.span()));
        let others = self.at("BinaryOperator", expr.op.span());
        let others: Vec<_> = others
            .into_iter()
            .map(|(id, other)| {
                let left = &self.source[all.start..operator.start];
                let right = &self.source[operator.end..all.end];
                (id, format!("{left}{other}{right}"))
            })
            .collect();
        if has_let(&expr.left) || has_let(&expr.right) {
            // `let` stands in no parentheses: where it is tied by `&&`, no other operator may be.
            let lost: Vec<_> = others.iter().map(|(id, _)| *id).collect();
            self.placed.retain(|id| !lost.contains(id));
        } else {
            self.choose(all, &others);
        }
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_unary(&mut self, expr: &'ast ExprUnary) {
        let others = self.at("UnaryOperator", expr.op.span());
        let operand = self.source[self.range(expr.expr.span())].to_owned();
        let others: Vec<_> = others.into_iter().map(|(id, _)| (id, operand.clone())).collect();
        self.choose(self.range(expr.span()), &others);
        visit::visit_expr_unary(self, expr);
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        for (id, _) in self.at("MatchArm", arm.span()) {
            let end = self.offset(arm.pat.span().end());
            let before = format!(" if !{MARK}{id})");
            self.edits.push(Edit { range: end..end, before, after: String::new() });
        }
        if let Pat::Guard(PatGuard { guard, .. }) = &arm.pat {
            let others = self.at("MatchArmGuard", guard.span());
            if has_let(guard) {
                let lost: Vec<_> = others.iter().map(|(id, _)| *id).collect();
                self.placed.retain(|id| !lost.contains(id));
            } else {
                self.choose(self.range(guard.span()), &others);
            }
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, expr: &'ast ExprStruct) {
        let all = self.range(expr.span());
        let mut others = Vec::new();
        for field in expr.fields.pairs() {
            let (value, comma) = (field.value(), field.punct());
            for (id, _) in self.at("StructField", value.span()) {
                let start = self.offset(value.span().start());
                let end = self.offset(comma.map_or(value.span(), Spanned::span).end());
                let (left, right) = (&self.source[all.start..start], &self.source[end..all.end]);
                others.push((id, format!("{left}{right}")));
            }
        }
        self.choose(all, &others);
        visit::visit_expr_struct(self, expr);
    }
}

/// Whether an expression is `let`, or a chain with one.
fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(chain) => has_let(&chain.left) || has_let(&chain.right),
        _ => false,
    }
}
