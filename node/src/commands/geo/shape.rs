//! What is searched: a circle or a rectangle, and the cells that cover it.

use super::cell::{
    Cell, Origin, Point, Radius, STEPS_MAX, ToRadians as _, degrees, latitude_distance,
};

/// What is searched, in metres around a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) center: Point,
    pub(super) extent: Extent,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    Circle {
        radius: f64,
    },
    /// `reach`: from the middle to a corner.
    Box {
        width: f64,
        height: f64,
        reach: f64,
    },
}

/// How far places are from the middle of a shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    shape: Shape,
    origin: Origin,
    /// Of a circle: what lies beyond it is outside.
    reach: Option<Radius>,
}

impl Measure {
    /// How far a place is from the middle, if it is inside.
    pub(super) fn distance_to(&self, place: Point) -> Option<f64> {
        let center = self.shape.center;
        match self.shape.extent {
            Extent::Circle { radius } => {
                let is_beyond = |reach| self.origin.is_surely_beyond(reach, place);
                if self.reach.is_some_and(is_beyond) {
                    return None;
                }
                let distance = self.origin.distance(place);
                // What is no number is inside.
                if distance > radius {
                    return None;
                }
                Some(distance)
            }
            Extent::Box { width, height, .. } => {
                if latitude_distance(place.latitude, center.latitude) > height / 2.0 {
                    return None;
                }
                let beside = Point {
                    longitude: center.longitude,
                    latitude: place.latitude,
                };
                if place.distance(beside) > width / 2.0 {
                    return None;
                }
                Some(self.origin.distance(place))
            }
        }
    }
}

impl Shape {
    /// To measure places with.
    pub(super) fn measure(self) -> Measure {
        let reach = match self.extent {
            Extent::Circle { radius } => Some(Radius::of(radius)),
            Extent::Box { .. } => None,
        };
        Measure {
            shape: self,
            origin: Origin::new(self.center),
            reach,
        }
    }

    /// The cells that cover it, in the order in which they are searched.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let (half_width, half_height, radius) = match self.extent {
            Extent::Circle { radius } => (radius, radius, radius),
            Extent::Box {
                width,
                height,
                reach,
            } => (width / 2.0, height / 2.0, reach),
        };
        let center = self.center;
        let north = degrees(half_height, 1.0);
        // Where the shape is widest in degrees: at its end towards the pole.
        let towards_pole = if center.latitude < 0.0 { -north } else { north };
        let shrunk = (center.latitude + towards_pole).to_radians_as_c().cos();
        let east = degrees(half_width, shrunk);
        let longitude = center.longitude - east..center.longitude + east;
        let latitude = center.latitude - north..center.latitude + north;

        let mut steps = steps_for(radius, center.latitude);
        let reaches = |steps: u32| {
            let cell = Cell::of(center, steps);
            let (north, south) = (cell.neighbour(0, 1).area(), cell.neighbour(0, -1).area());
            let (east, west) = (cell.neighbour(1, 0).area(), cell.neighbour(-1, 0).area());
            // Not >=: what is not a number is reached.
            !(north.latitude.end < latitude.end
                || south.latitude.start > latitude.start
                || east.longitude.end < longitude.end
                || west.longitude.start > longitude.start)
        };
        if steps > 1 && !reaches(steps) {
            steps -= 1;
        }
        let cell = Cell::of(center, steps);
        let area = cell.area();
        // Neighbours beyond an edge that the shape does not cross are left out.
        let is_useless = |east: i32, north: i32| {
            steps >= 2
                && ((north < 0 && area.latitude.start < latitude.start)
                    || (north > 0 && area.latitude.end > latitude.end)
                    || (east < 0 && area.longitude.start < longitude.start)
                    || (east > 0 && area.longitude.end > longitude.end))
        };
        let mut cells = Vec::with_capacity(NEIGHBOURS.len());
        for (east, north) in NEIGHBOURS {
            let neighbour = cell.neighbour(east, north);
            // Where cells are large, the globe is two of them around.
            if !is_useless(east, north) && cells.last() != Some(&neighbour) {
                cells.push(neighbour);
            }
        }
        cells
    }
}

/// East and north, in the order in which Redis looks at them.
const NEIGHBOURS: [(i32, i32); 9] = [
    (0, 0),
    (0, 1),
    (0, -1),
    (1, 0),
    (-1, 0),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
];

/// How small cells may be for nine of them to cover a radius.
fn steps_for(radius: f64, latitude: f64) -> u32 {
    /// Half the way around the equator.
    const METRES_MAX: f64 = 20_037_726.37;
    if radius == 0.0 {
        return STEPS_MAX;
    }
    let (mut metres, mut steps) = (radius, 1i32);
    while metres < METRES_MAX {
        metres *= 2.0;
        steps += 1;
    }
    steps -= 2;
    // Towards the poles cells become narrow.
    if latitude.abs() > 66.0 {
        steps -= if latitude.abs() > 80.0 { 2 } else { 1 };
    }
    u32::try_from(steps).unwrap_or(1).clamp(1, STEPS_MAX)
}
