// The health check of compose.yaml's MongoDB: well once it takes writes. At the first start it makes the replica set of
// one, which change streams and transactions need; nothing else can, since it takes the first start to make the user.
const hello = db.hello();
if (hello.isWritablePrimary) quit(0);
if (!hello.setName && !hello.isreplicaset) quit(1); // the first start, without --replSet: the user is being made
if (hello.isreplicaset) {
  const password = fs.readFileSync("/run/secrets/mongodb-root-password", "utf8").trim();
  db.getSiblingDB("admin").auth("root", password);
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] });
}
quit(1); // the next check finds the primary
