// Drives the controllers of the npm package over sql.js: reads, searches and extends the file, then writes it back.
import { createDatabase } from "agentdb/dist/src/db-fallback.js";
import { EmbeddingService } from "agentdb/dist/src/controllers/EmbeddingService.js";
import { ReasoningBank } from "agentdb/dist/src/controllers/ReasoningBank.js";
import { ReflexionMemory } from "agentdb/dist/src/controllers/ReflexionMemory.js";
import { SkillLibrary } from "agentdb/dist/src/controllers/SkillLibrary.js";
import { CausalMemoryGraph } from "agentdb/dist/src/controllers/CausalMemoryGraph.js";

console.log = () => {};
const db = await createDatabase(process.argv[2]);
const embedder = new EmbeddingService({ model: "none", dimension: 384, provider: "none" });
const bank = new ReasoningBank(db, embedder);
const memory = new ReflexionMemory(db, embedder);
const library = new SkillLibrary(db, embedder);
const graph = new CausalMemoryGraph(db);

const answer = {
  patterns: await bank.searchPatterns({ task: "sharks", k: 9, threshold: -1, filters: { tags: ["mood"] } }),
  stats: bank.getPatternStats(),
  episodes: await memory.retrieveRelevant({ task: "sharks", k: 9, onlySuccesses: true }),
  task: memory.getTaskStats("watch_movie_578"),
  skills: await library.retrieveSkills({ task: "sharks", k: 9, minSuccessRate: 0 }),
  edges: graph.queryCausalEffects({ interventionMemoryId: 1, interventionMemoryType: "episode" }),
};
for (const kind of ["patterns", "episodes"]) {
  for (const row of answer[kind]) {
    row.embedding = Array.from(row.embedding);
  }
}
bank.updatePatternStats(1, true, 1.0);
answer.pattern = await bank.storePattern({ taskType: "npm", approach: "added there", successRate: 0.5, tags: ["ü"] });
answer.episode = await memory.storeEpisode({
  sessionId: "u2", task: "watch_tv_1399", output: '{"completionRate":0.9,"rating":9}', reward: 0.81, success: true,
});
answer.skill = await library.createSkill({ name: "npm skill", signature: { inputs: {}, outputs: {} }, successRate: 0.6 });
answer.edge = await graph.addCausalEdge({
  fromMemoryId: 1, fromMemoryType: "episode", toMemoryId: 2, toMemoryType: "episode", similarity: 0.5, uplift: 0.2,
  confidence: 0.8, sampleSize: 40, mechanism: "seen there",
});
db.close();
process.stdout.write(JSON.stringify(answer));
process.exit(0);
