//! Which steps are possible, and what each does.
//!
//! A rule that is left out shows as the other branch of the place that obeys it.

use super::node::{Answer, Content, Flight, Node, Purge, Range, Stage, Stored, Verdict};
use super::{Action, OLD_NUMBER, Rule, Tiers, World};
use crate::words::Kind;

impl Tiers {
    pub(super) fn log_actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.origin.version < self.scope.changes {
            actions.push(Action::Change);
        }
        if self.scope.retags && !world.origin.retagged {
            actions.push(Action::Retag);
        }
        if world.log.len() < self.scope.purges_max {
            actions
                .extend(self.scope.purges.iter().map(|&(kind, range)| Action::Purge(kind, range)));
        }
    }

    pub(super) fn node_actions(&self, world: &World, at: usize, actions: &mut Vec<Action>) {
        let node = &world.nodes[at];
        let head = world.log.len() as u8;
        if node.foreign {
            actions.push(Action::Switch(at));
        } else if node.published < head {
            actions.push(Action::Publish(at));
        }
        if !node.foreign && !self.scope.at_once && node.journaled < head {
            actions.push(Action::Journal(at));
        }
        if node.acknowledged < self.acknowledge_bound(node) {
            actions.push(Action::Acknowledge(at));
        }
        if world.crashes < self.scope.crashes {
            actions.push(Action::Crash(at));
        }
        if self.is_edge(at) {
            self.request_actions(world, at, actions);
        }
        let upstream_is_origin = !self.is_edge(at) || self.shield().is_none();
        for (slot, flight) in node.slots.iter().enumerate() {
            let Some(flight) = flight else { continue };
            actions.push(Action::Lose(at, slot));
            match flight.stage {
                Stage::Asked if upstream_is_origin => actions.push(Action::Originate(at, slot)),
                Stage::Answered(..) => actions.push(Action::Arrive(at, slot)),
                Stage::Asked | Stage::Waiting(_) => {}
            }
        }
    }

    /// In which order a rule is published and journaled is all one, as long as both come first.
    fn acknowledge_bound(&self, node: &Node) -> u8 {
        if !self.keeps(Rule::PublishBeforeAcknowledge) {
            node.journaled
        } else if !self.keeps(Rule::JournalBeforeAcknowledge) {
            node.published
        } else {
            node.position()
        }
    }

    /// A request joins a flight, or leads one where there is none to join.
    fn request_actions(&self, world: &World, at: usize, actions: &mut Vec<Action>) {
        let node = &world.nodes[at];
        let joinable = |slot: &usize| {
            node.slots[*slot].is_some_and(|flight| self.may_join(world, node, &flight))
        };
        let joinable: Vec<usize> = (0..node.slots.len()).filter(joinable).collect();
        for &slot in &joinable {
            if node.slots[slot].is_some_and(|flight| flight.follower.is_none()) {
                actions.push(Action::Join(at, slot));
            }
        }
        if joinable.is_empty() && node.flights().count() < self.scope.flights[0] {
            actions.push(Action::Lead(at));
        }
    }

    /// Tags are judged when the flight's head is there.
    fn may_join(&self, world: &World, node: &Node, flight: &Flight) -> bool {
        let mut since = world.rules(flight.sequence, node.published);
        !self.keeps(Rule::JoinOnlyIfUncovered) || !since.any(|purge| purge.range == Range::Url)
    }

    pub(super) fn shield_actions(&self, world: &World, shield: usize, actions: &mut Vec<Action>) {
        let node = &world.nodes[shield];
        for edge in 0..self.scope.edges {
            for (slot, flight) in world.nodes[edge].slots.iter().enumerate() {
                if let Some(flight) = flight
                    && flight.stage == Stage::Asked
                {
                    self.look_up(world, node, flight, (edge, slot), actions);
                }
            }
        }
    }

    fn look_up(
        &self,
        world: &World,
        node: &Node,
        asking: &Flight,
        (edge, slot): (usize, usize),
        actions: &mut Vec<Action>,
    ) {
        let floor = self.floor(node, asking);
        let behind = node.position() < floor;
        match node.stored.map(|stored| self.verdict(world, node, &stored)) {
            Some(Verdict::Clean) if !behind => actions.push(Action::AnswerClean(edge, slot)),
            Some(Verdict::Soft) if !behind => actions.push(Action::AnswerSoft(edge, slot)),
            _ => {}
        }
        let joinable = |own: &usize| {
            node.slots[*own].is_some_and(|flight| {
                flight.sequence >= floor && self.may_join(world, node, &flight)
            })
        };
        let joinable: Vec<usize> = (0..node.slots.len()).filter(joinable).collect();
        actions.extend(joinable.iter().map(|&own| Action::Await(edge, slot, own)));
        if joinable.is_empty() && node.flights().count() < self.scope.flights[1] {
            actions.push(Action::Forward(edge, slot));
        }
    }

    /// The floor as the shield takes it.
    fn floor(&self, shield: &Node, asking: &Flight) -> u8 {
        let hears = self.keeps(Rule::FloorObeyed) && !self.scope.deaf;
        let foreign = asking.foreign && !shield.foreign && !self.keeps(Rule::ForeignIsOldest);
        match hears {
            true if foreign => OLD_NUMBER,
            true if asking.foreign == shield.foreign => asking.sequence,
            _ => 0,
        }
    }

    /// The shield answers an edge's flight, stamped as the edge will take it.
    fn answer(&self, world: &mut World, (edge, slot): (usize, usize), stored: &Stored, stamp: u8) {
        let (strong, shield) = (world.origin.strong, world.nodes[self.scope.edges]);
        let flight = world.flight(edge, slot);
        let stamp = match shield.foreign == flight.foreign {
            true => stamp,
            false if self.keeps(Rule::ForeignIsOldest) => 0,
            false => stamp.max(OLD_NUMBER),
        };
        flight.stage = Stage::Answered(reply(flight, stored.content, strong), stamp);
    }

    pub(super) fn step(&self, world: &mut World, action: Action) {
        match action {
            Action::Change => world.origin.version += 1,
            Action::Retag => {
                world.origin.retagged = true;
                world.origin.tag = world.origin.tag.other();
            }
            Action::Purge(kind, range) => {
                world.log.push(Purge { kind, range, version: world.origin.version });
            }
            Action::Switch(at) => world.nodes[at].foreign = false,
            Action::Publish(at) => {
                publish(world, at);
                if self.scope.at_once {
                    let node = &mut world.nodes[at];
                    (node.journaled, node.acknowledged) = (node.published, node.published);
                }
            }
            Action::Journal(at) => world.nodes[at].journaled += 1,
            Action::Acknowledge(at) => {
                world.nodes[at].acknowledged = self.acknowledge_bound(&world.nodes[at]);
            }
            Action::Lead(at) => self.lead(world, at, 0),
            Action::Join(at, slot) => {
                let published = world.nodes[at].published;
                world.flight(at, slot).follower = Some(published);
            }
            Action::AnswerClean(edge, slot) => {
                let shield = &world.nodes[self.scope.edges];
                let (stored, stamp) = (shield.stored, shield.position());
                self.answer(world, (edge, slot), &stored.expect("found"), stamp);
            }
            Action::AnswerSoft(edge, slot) => {
                let shield = &world.nodes[self.scope.edges];
                let stored = shield.stored.expect("found");
                let own = self.keeps(Rule::SoftStampedWithOwn);
                let stamp = if own { stored.sequence } else { shield.position() };
                self.answer(world, (edge, slot), &stored, stamp);
            }
            Action::Await(edge, slot, own) => world.flight(edge, slot).stage = Stage::Waiting(own),
            Action::Forward(edge, slot) => {
                let own = world.nodes[self.scope.edges].free_slot();
                let asking = *world.flight(edge, slot);
                let floor = self.floor(&world.nodes[self.scope.edges], &asking);
                world.flight(edge, slot).stage = Stage::Waiting(own);
                self.lead(world, self.scope.edges, floor);
            }
            Action::Originate(at, slot) => self.originate(world, at, slot),
            Action::Arrive(at, slot) => self.arrive(world, at, slot),
            Action::Lose(at, slot) => self.lose(world, at, slot),
            Action::Crash(at) => self.crash(world, at),
        }
    }

    /// Edges are alike, and so are the slots of a node: one order stands for all.
    pub(super) fn sort(&self, world: &mut World) {
        let (edges, shield) = world.nodes.split_at_mut(self.scope.edges);
        if let [shield] = shield
            && shield.slots[0] > shield.slots[1]
        {
            shield.slots.swap(0, 1);
            for flight in edges.iter_mut().flat_map(|edge| &mut edge.slots).flatten() {
                if let Stage::Waiting(own) = &mut flight.stage {
                    *own = 1 - *own;
                }
            }
        }
        for edge in edges.iter_mut() {
            edge.slots.sort_unstable();
        }
        edges.sort_unstable();
    }

    fn originate(&self, world: &mut World, at: usize, slot: usize) {
        let origin = world.origin;
        let told = self.scope.purges.iter().any(|purge| *purge != (Kind::Hard, Range::Url));
        let confirmed = if told { world.log.len() as u8 } else { 0 };
        let content = Content { version: origin.version, tag: origin.tag, confirmed, marked: 0 };
        let flight = world.flight(at, slot);
        flight.stage = Stage::Answered(reply(flight, content, origin.strong), flight.sequence);
    }

    fn lead(&self, world: &mut World, at: usize, floor: u8) {
        let node = &world.nodes[at];
        let behind = node.position() < floor;
        let held = node.stored.filter(|stored| match self.verdict(world, node, stored) {
            Verdict::Hard => !self.keeps(Rule::HardSendsNoValidator),
            _ if behind => world.origin.strong || !self.keeps(Rule::PossiblySendsStrongOnly),
            Verdict::Soft | Verdict::Clean => true,
        });
        let uses_floor = self.keeps(Rule::FlightUsesFloor);
        let sequence = if uses_floor { node.position().max(floor) } else { node.position() };
        let foreign = node.foreign;
        let flight = Flight { sequence, foreign, held, follower: None, stage: Stage::Asked };
        let slot = node.free_slot();
        world.nodes[at].slots[slot] = Some(flight);
    }

    /// What a node would store were the flight's answer to arrive now; none where it is refused.
    pub(super) fn arrival(&self, world: &World, node: &Node, flight: &Flight) -> Option<Stored> {
        let Stage::Answered(answer, stamp) = flight.stage else { return None };
        let now = world.nodes.last().map_or(0, Node::position);
        let stamp = if self.keeps(Rule::StampBeforeLookup) { stamp } else { stamp.max(now) };
        if stamp < flight.sequence && self.keeps(Rule::RefuseBelowFloor) {
            return None;
        }
        match answer {
            Answer::Full(content) => {
                let ended = node.position();
                let began = self.keeps(Rule::SequenceOfBegin);
                let sequence = if began { flight.sequence } else { ended };
                Some(Stored { content, tag: content.tag, sequence })
            }
            Answer::NotModified { tag, confirmed } => self.freshen(
                world,
                node,
                flight,
                Content { tag, confirmed, ..flight.held?.content },
            ),
        }
    }

    fn freshen(
        &self,
        world: &World,
        node: &Node,
        flight: &Flight,
        content: Content,
    ) -> Option<Stored> {
        let old = flight.held?;
        let covered = world.covers(Kind::Hard, flight.sequence, node.published, old.tag);
        if covered && self.keeps(Rule::FreshenUnderOldTags) {
            return None;
        }
        let began = self.keeps(Rule::FreshenedKeepsSequence);
        let sequence = if began { flight.sequence } else { node.position() };
        let new = self.keeps(Rule::FreshenUnderNewTags);
        Some(Stored { content, tag: if new { content.tag } else { old.tag }, sequence })
    }

    fn arrive(&self, world: &mut World, at: usize, slot: usize) {
        let node = world.nodes[at];
        let Some(flight) = node.slots[slot] else { return };
        let Some(stored) = self.arrival(world, &node, &flight) else {
            return self.lose(world, at, slot);
        };
        world.nodes[at].stored = Some(stored);
        world.nodes[at].slots[slot] = None;
        if !self.is_edge(at) {
            for asking in self.waiting(world, slot) {
                self.answer(world, asking, &stored, flight.sequence);
            }
        }
    }

    /// The flights of edges that wait for the shield's flight in this slot.
    fn waiting(&self, world: &World, own: usize) -> Vec<(usize, usize)> {
        let slots =
            |edge: usize| world.nodes[edge].slots.iter().enumerate().map(move |s| (edge, s));
        (0..self.scope.edges)
            .flat_map(slots)
            .filter(|(_, (_, flight))| flight.is_some_and(|f| f.stage == Stage::Waiting(own)))
            .map(|(edge, (slot, _))| (edge, slot))
            .collect()
    }

    fn lose(&self, world: &mut World, at: usize, slot: usize) {
        world.nodes[at].slots[slot] = None;
        if !self.is_edge(at) {
            for (edge, asking) in self.waiting(world, slot) {
                world.nodes[edge].slots[asking] = None;
            }
        }
    }

    fn crash(&self, world: &mut World, at: usize) {
        for slot in 0..world.nodes[at].slots.len() {
            self.lose(world, at, slot);
        }
        let node = &mut world.nodes[at];
        node.published = node.published.min(node.journaled);
        // What is forgotten is applied anew, and judged then by what is stored then.
        if let Some(stored) = &mut node.stored {
            stored.content.marked &= (1 << node.published) - 1;
        }
        for _ in node.published..node.journaled {
            publish(world, at);
        }
        world.crashes += 1;
    }
}

fn publish(world: &mut World, at: usize) {
    let index = world.nodes[at].published;
    let purge = world.log[usize::from(index)];
    let node = &mut world.nodes[at];
    node.published += 1;
    let held = node.slots.iter_mut().flatten().filter_map(|flight| flight.held.as_mut());
    for stored in node.stored.iter_mut().chain(held) {
        let tagged = matches!(purge.range, Range::Tag(tag) if tag == stored.tag);
        if tagged && stored.sequence <= index && stored.content.version < purge.version {
            stored.content.marked |= 1 << index;
        }
    }
}

impl World {
    fn flight(&mut self, at: usize, slot: usize) -> &mut Flight {
        self.nodes[at].slots[slot].as_mut().expect("a flight")
    }
}

/// 304 where the validator matches; a weak one matches whatever changed.
fn reply(flight: &Flight, content: Content, strong: bool) -> Answer {
    let matches = |held: Stored| !strong || held.content.version == content.version;
    match flight.held.is_some_and(matches) {
        true => Answer::NotModified { tag: content.tag, confirmed: content.confirmed },
        false => Answer::Full(content),
    }
}
