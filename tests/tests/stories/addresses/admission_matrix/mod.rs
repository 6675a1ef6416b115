//! What the API server, with the webhooks registered, takes and what it refuses, in which words:
//! each row of docs/compatibility.md that is about objects.
//!
//! The tables are the files beside this one. `tests/tests/admission_matrix.rs` sees to it that no
//! row is left out.

mod limits;
mod line;
mod objects;

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use metallb_tests::{Answer, Cluster};
use serde_json::Value;

use self::{
    line::{Line, Table},
    objects::Object,
};
use crate::{admission, world::Installed};

/// Every row, and what names and annotations may be.
pub(crate) fn every_row(world: &Installed) -> Result<()> {
    admission::required(world)?;
    let tables = Table::read_all()?;
    let cluster = &world.cluster;
    objects::clear(cluster)?;
    tell(cluster, &tables)?;
    for table in &tables {
        for (row, why) in &table.unseen {
            println!("  {row} cannot be seen here: {why}");
        }
        limits::names_and_annotations(cluster, table)
            .with_context(|| format!("names and annotations of {}s", table.kind))?;
    }
    world.page_answers()
}

/// Tells all lines; those that are not so are in the error.
fn tell(cluster: &Cluster, tables: &[Table]) -> Result<()> {
    let started = Instant::now();
    let (mut requests, mut wrong) = (0, Vec::new());
    for table in tables {
        let good = Object::new(&table.kind, None, "line-good", &table.good);
        let good = good.made(cluster)?;
        for line in &table.lines {
            let told = tell_line(cluster, table, line, &good);
            // Nothing is left for the next one, whatever became of this.
            requests += told.unwrap_or_else(|error| {
                wrong.push(format!("{} {}: {error:#}", table.kind, said(line)));
                0
            });
        }
        good.delete(cluster)?;
    }
    println!(
        "  {requests} requests answered in {:.1?}",
        started.elapsed()
    );
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Whether a line is so; gives how often it was asked.
fn tell_line(cluster: &Cluster, table: &Table, line: &Line, good: &Object) -> Result<u32> {
    let mut made = Vec::new();
    let told = with_objects(cluster, table, line, good, &mut made);
    // The last one may use those before it.
    for object in made.iter().rev() {
        object.delete(cluster)?;
    }
    told
}

fn with_objects(
    cluster: &Cluster,
    table: &Table,
    line: &Line,
    good: &Object,
    made: &mut Vec<Object>,
) -> Result<u32> {
    if let Some(before) = &line.before {
        let before = Object::new(&table.kind, None, "line-before", before);
        made.push(before.made(cluster)?);
    }
    for (n, beside) in line.beside.iter().enumerate() {
        let name = format!("beside-{n}");
        let version = beside.version.as_deref();
        let object = Object::new(&beside.kind, version, &name, &beside.spec);
        made.push(object.made(cluster)?);
    }
    let version = line.version.as_deref();
    let mut asked = 0;
    let mut judge = |how: &str, answer: Result<Answer>| {
        asked += 1;
        let judged = answer.and_then(|answer| table.judge(line, &answer));
        judged.with_context(|| how.to_owned())
    };
    match (&line.before, &line.spec) {
        (None, Some(spec)) => {
            let new = Object::new(&table.kind, version, "line-new", spec);
            match &line.namespace {
                Some(namespace) => judge("new", new.in_namespace(namespace).try_new(cluster))?,
                None => judge("new", new.try_new(cluster))?,
            }
            if line.namespace.is_none() && !line.only_new {
                judge("edit", good.edited(version, spec).try_edit(cluster))?;
            }
        }
        (Some(_), Some(spec)) => {
            judge("edit", made[0].edited(version, spec).try_edit(cluster))?;
        }
        (Some(_), None) => judge("deletion", made[0].try_delete(cluster))?,
        (None, None) => bail!("neither spec nor before"),
    }
    Ok(asked)
}

/// A line as one finds it in its file.
fn said(line: &Line) -> String {
    let spec = line
        .spec
        .as_ref()
        .map_or_else(|| "deletion".to_owned(), Value::to_string);
    format!("{} {spec}", line.row)
}
